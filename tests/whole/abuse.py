"""What an attacker sends, and what machines go on sending meanwhile. Run inside a test's network by tests/whole/abuse.rs.

Standard library only. Each command prints one line of JSON: what was sent and what came back.
"""

import json
import os
import resource
import select
import socket
import struct
import sys
import time

DISCOVER, REQUEST, DECLINE, RELEASE = 1, 3, 4, 7


def option(code, data):
    return bytes([code, len(data)]) + data


def dhcp(kind, mac, giaddr="0.0.0.0", circuit=None, ciaddr="0.0.0.0", more=b"", xid=1, hops=0):
    packet = struct.pack("!BBBBIHH", 1, 1, 6, hops, xid, 0, 0)
    packet += socket.inet_aton(ciaddr) + bytes(8) + socket.inet_aton(giaddr) + mac + bytes(10 + 64 + 128)
    packet += b"\x63\x82\x53\x63" + option(53, bytes([kind])) + more
    if circuit is not None:
        packet += option(82, option(1, circuit.encode()))
    return packet + b"\xff"


def udp(address, port, patience):
    handle = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    handle.bind((address, port))
    handle.settimeout(patience)
    return handle


def tell(**what):
    print(json.dumps(what), flush=True)


def own_mac(number):
    return bytes([2, 0, 0, 0, 1, number])


def flood(server, giaddr, seconds):
    """Hardware addresses that were never seen, all by one port, as fast as they can be sent."""
    handle = udp("0.0.0.0", 0, 1)
    template = bytearray(dhcp(DISCOVER, bytes(6), giaddr, "swp1"))
    end, sent = time.monotonic() + float(seconds), 0
    while time.monotonic() < end:
        for _ in range(64):
            sent += 1
            template[28:34] = b"\x06" + sent.to_bytes(5, "big")
            template[4:8] = sent.to_bytes(4, "big")
            try:
                handle.sendto(template, (server, 67))
            except OSError:
                pass
    tell(sent=sent)


def settle(server, router, machines):
    """Each machine asks for its address, as a new one would; gives the addresses."""
    handle, addresses = udp(router, 67, 2), []
    for number in range(1, int(machines) + 1):
        reply = ask(handle, server, dhcp(DISCOVER, own_mac(number), router, f"swp{number}", xid=number), number)
        its = reply[16:20]
        wants = option(50, its) + option(54, socket.inet_aton(server))
        ack = ask(handle, server, dhcp(REQUEST, own_mac(number), router, f"swp{number}", more=wants, xid=number), number)
        assert ack[16:20] == its, "the address that was offered"
        addresses.append(socket.inet_ntoa(its))
    tell(addresses=addresses)


def ask(handle, server, packet, xid, tries=4):
    """The reply; None if there is none to as many tries as firmware makes."""
    for _ in range(tries):
        handle.sendto(packet, (server, 67))
        end = time.monotonic() + 1
        while True:
            ready, _, _ = select.select([handle], [], [], max(0, end - time.monotonic()))
            if not ready:
                break
            reply = handle.recv(2048)
            if reply[4:8] == xid.to_bytes(4, "big"):
                return reply
    return None


def renew(server, router, machines, seconds):
    """The machines ask for what they have, over and over, each within its budget."""
    handle, asked, served = udp(router, 67, 1), 0, 0
    machines = int(machines)
    addresses = {}
    for number in range(1, machines + 1):
        reply = ask(handle, server, dhcp(DISCOVER, own_mac(number), router, f"swp{number}", xid=number), number)
        served += reply is not None
        asked += 1
        addresses[number] = reply[16:20] if reply else None
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        for number in range(1, machines + 1):
            if addresses[number] is None:
                continue
            asked += 1
            xid = 1000 + asked
            more = option(50, addresses[number])
            reply = ask(handle, server, dhcp(REQUEST, own_mac(number), router, f"swp{number}", more=more, xid=xid), xid)
            served += reply is not None and reply[16:20] == addresses[number]
        time.sleep(0.25)
    tell(asked=asked, served=served)


def give_back(server, router, victim):
    """RELEASE and DECLINE of the address that is another's, by the port of swp2, and from the relay itself."""
    handle = udp(router, 67, 0.2)
    its = option(50, socket.inet_aton(victim)) + option(54, socket.inet_aton(server))
    for mac in (own_mac(2), own_mac(1)):
        for packet in (
            dhcp(RELEASE, mac, router, "swp2", ciaddr=victim, more=its),
            dhcp(DECLINE, mac, router, "swp2", more=its),
            dhcp(RELEASE, mac, ciaddr=victim, more=its),
            dhcp(DECLINE, mac, more=its),
        ):
            handle.sendto(packet, (server, 67))
    tell(replies=drain(handle))


def drain(handle):
    count = 0
    try:
        while True:
            handle.recv(65535)
            count += 1
    except OSError:
        return count


def pose(server, router):
    """From a machine: as its leaf, with one Option 82 and with two, as another relay, and as the server itself."""
    handle = udp("0.0.0.0", 0, 0.5)
    double = option(82, option(1, b"swp1")) + option(82, option(1, b"swp2"))
    for packet in (
        dhcp(DISCOVER, own_mac(1), router, "swp1"),
        dhcp(DISCOVER, own_mac(1), router, more=double),
        dhcp(DISCOVER, own_mac(1), "203.0.113.9", "swp1"),
        dhcp(DISCOVER, own_mac(1), server, "swp1"),
        dhcp(DISCOVER, own_mac(1), circuit="swp1"),
        dhcp(DISCOVER, own_mac(1), router, "swp1", hops=17),
    ):
        handle.sendto(packet, (server, 67))
    tell(replies=drain(handle))


def reflect(server, domain):
    """Small requests from an address outside of the zone: octets sent and octets that came, by port."""
    name = b"".join(bytes([len(label)]) + label.encode() for label in domain.split(".")) + b"\0"
    opt = b"\0\0\x29\x10\0\0\0\0\0\0\0"
    queries = [
        struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, extra) + name + struct.pack("!HH", kind, 1) + (opt if extra else b"")
        for kind in (255, 6, 2, 16, 1, 33)
        for extra in (0, 1)
    ]
    requests = {
        53: queries,
        69: [b"\0\1ipxe.efi\0octet\0", b"\0\1ipxe.efi\0octet\0blksize\x0065464\0windowsize\x0065535\0", b"\0\4\0\0"],
        67: [dhcp(DISCOVER, own_mac(9)), dhcp(DISCOVER, own_mac(9), circuit="swp1"), dhcp(REQUEST, own_mac(9))],
        4011: [dhcp(REQUEST, own_mac(9), more=option(60, b"PXEClient"))],
    }
    told = {}
    for port, packets in requests.items():
        for packet in packets:
            handle, came = udp("0.0.0.0", 0, 0.3), 0
            handle.sendto(packet, (server, port))
            try:
                while True:
                    came += len(handle.recv(65535))
            except OSError:
                pass
            told.setdefault(str(port), []).append([len(packet), came])
    tell(**told)


def option6(code, data):
    return struct.pack("!HH", code, len(data)) + data


def reflect6(server, link):
    """The same of DHCPv6: as a client, and as relays that name a link and port of the zone or of nowhere."""
    client = option6(1, b"\0\3\0\1" + own_mac(9))
    wants = option6(6, struct.pack("!6H", 23, 24, 31, 32, 56, 59))
    named = [b"\1\0\0\1" + client + option6(3, bytes(12)), b"\1\0\0\1" + client + wants, b"\x0b\0\0\1" + wants]
    shortest = [b"\1\0\0\1" + option6(1, b"x"), b"\x0b\0\0\1", b"\4\0\0\1" + option6(3, bytes(12))]
    told = []
    for message in named + shortest:
        shells = [
            b"\x0c\0" + socket.inet_pton(socket.AF_INET6, at) + bytes(16) + option6(18, port) + option6(9, message)
            for at, port in ((link, b"swp1"), (link, b"swp40"), ("2001:db8:ffff::1", b"swp1"))
        ]
        for packet in [message] + shells:
            handles = []
            for port in (546, 547):
                handle = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
                handle.bind(("::", port))
                handles.append(handle)
            handles[1].sendto(packet, (server, 547))
            came = 0
            while True:
                ready, _, _ = select.select(handles, [], [], 0.3)
                if not ready:
                    break
                came += sum(len(handle.recv(65535)) for handle in ready)
            for handle in handles:
                handle.close()
            told.append([len(packet), came])
    tell(exchanges=told)


def bombs(server, router):
    """Packets that are all options, nested, empty, endless or as large as UDP carries; noise under a right head."""
    handle = udp(router, 67, 0.2)
    head = dhcp(DISCOVER, own_mac(1), router, "swp1")[:-1]
    nested = option(82, option(1, b"swp1") * 40)
    for tail in (
        option(200, b"") * 300,
        nested * 5,
        option(43, option(43, option(43, b"x" * 60))) * 10,
        option(125, bytes([0, 0, 0, 9, 200]) + b"y" * 20) * 20,
        option(52, b"\3") + b"\x37\xff" + bytes(range(255)),
        b"\x0c\xff",
        os.urandom(1000),
        b"\0" * 60000,
    ):
        try:
            handle.sendto(head + tail + b"\xff", (server, 67))
        except OSError:
            pass
    drain(handle)
    tell(done=True)


def babble(server, count):
    """As many packets, each refused for another reason or by another name."""
    handle = udp("0.0.0.0", 0, 0.1)
    for number in range(int(count)):
        mac = b"\x0a" + number.to_bytes(5, "big")
        circuit = f"port{number}\n\x1b[2J"
        handle.sendto(dhcp(DISCOVER, mac, "203.0.113.9", circuit, xid=number), (server, 67))
        handle.sendto(os.urandom(60), (server, 53))
        handle.sendto(os.urandom(20), (server, 69))
    tell(sent=3 * int(count))


def manage(server):
    """Noise, and noise behind heads that look right, to every port on which the controller is managed."""
    heads = [
        b"",
        b"GET / HTTP/1.1\r\n",
        b"POST /v1/reload HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 99999999\r\n\r\n",
        b"POST /v1/reload HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffff\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b'{"' * 50,
    ]
    ports = [("127.0.0.1", 8480), (server, 8443), (server, 80), (server, 53), "/run/zonewright/api.sock"]
    heard = 0
    for number in range(60):
        octets = heads[number % len(heads)] + os.urandom(number * 300)
        for port in ports:
            handle = socket.socket(socket.AF_UNIX if isinstance(port, str) else socket.AF_INET)
            handle.settimeout(0.05)
            try:
                handle.connect(port)
                handle.sendall(octets)
                handle.shutdown(socket.SHUT_WR)
                heard += len(handle.recv(65535)) > 0
            except OSError:
                pass
            handle.close()
    tell(heard=heard)


def exhaust(server, router):
    """Silent connections take all descriptors that the server may have: what then becomes of boot files and of DHCP."""
    process = next(int(name) for name in os.listdir("/proc") if name.isdigit() and comm(f"/proc/{name}") == "zw")
    tasks = f"/proc/{process}/task"
    task = next(f"{tasks}/{name}" for name in os.listdir(tasks) if comm(f"{tasks}/{name}") == "boot")
    soft, hard = resource.prlimit(process, resource.RLIMIT_NOFILE)
    used = {int(name) for name in os.listdir(f"/proc/{process}/fd")}
    free = (number for number in range(hard) if number not in used)
    few = [next(free) for _ in range(20)][-1] + 1
    resource.prlimit(process, resource.RLIMIT_NOFILE, (few, hard))
    silent = [connection(server) for _ in range(64)]
    late = connection(server)
    late.sendall(GET)
    handle, asked, served = udp(router, 67, 1), 0, 0
    began, ran = time.monotonic(), run_seconds(task)
    while time.monotonic() < began + 3:
        asked += 1
        reply = ask(handle, server, dhcp(DISCOVER, own_mac(1), router, "swp1", xid=asked), asked)
        served += reply is not None
        time.sleep(0.1)
    busy = (run_seconds(task) - ran) / (time.monotonic() - began)
    was_heard = bool(select.select([late], [], [], 0)[0])
    # Who was accepted has no file, since that too is a descriptor, and is told when to come back. Some are used for a
    # moment now and then, so none is granted for this.
    resource.prlimit(process, resource.RLIMIT_NOFILE, (3, hard))
    silent[0].sendall(GET)
    accepted = silent[0].recv(4096).decode(errors="replace")
    resource.prlimit(process, resource.RLIMIT_NOFILE, (few, hard))
    for handle in silent:
        handle.close()
    heard = late.recv(4096).decode(errors="replace")
    resource.prlimit(process, resource.RLIMIT_NOFILE, (soft, hard))
    tell(asked=asked, served=served, busy=busy, was_heard=was_heard, accepted=accepted, heard=heard[:15])


GET = b"GET /loader/ipxe.efi HTTP/1.1\r\nHost: boot\r\n\r\n"


def comm(of):
    with open(f"{of}/comm") as text:
        return text.read().strip()


def run_seconds(task):
    """The time that a thread ran, user and system."""
    with open(f"{task}/stat") as text:
        fields = text.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def connection(server):
    handle = socket.create_connection((server, 80), 20)
    handle.settimeout(20)
    return handle


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
