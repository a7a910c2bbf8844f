#!/usr/bin/env python3
"""A BMC with sessions, accounts and a virtual CD: bmc.py ADDRESS CERTIFICATE KEY DIRECTORY.

An image that is inserted is fetched in parts, as BMCs do, and shown to the machine as the file DIRECTORY/drives/sr0.
What it is like at each moment is in DIRECTORY/state.json. While DIRECTORY/hold is there, a change of an account is kept
waiting, and then not made, as by a BMC that restarts.
"""

import json
import os
import ssl
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROOT = "/redfish/v1"
ACCOUNTS = ROOT + "/AccountService/Accounts"
SESSIONS = ROOT + "/SessionService/Sessions"
MEDIA = ROOT + "/Systems/1/VirtualMedia"
PART = 9000

address, certificate, key, directory = sys.argv[1:]
lock = threading.Lock()
state = {"accounts": {"1": ["root", "calvin"]}, "sessions": {}, "waiting": 0, "made": 0, "image": None}
cd = os.path.join(directory, "drives", "sr0")


def save():
    path = os.path.join(directory, "state.json")
    with open(path + ".new", "w") as file:
        json.dump(state, file)
    os.rename(path + ".new", path)


def insert(url):
    octets, size = b"", 1
    while len(octets) < size:
        part = {"Range": "bytes=%d-%d" % (len(octets), len(octets) + PART - 1)}
        with urllib.request.urlopen(urllib.request.Request(url, headers=part)) as answer:
            assert answer.status == 206
            size = int(answer.headers["Content-Range"].split("/")[1])
            octets += answer.read()
    os.makedirs(os.path.dirname(cd), exist_ok=True)
    with open(cd + ".new", "wb") as file:
        file.write(octets)
    os.rename(cd + ".new", cd)
    state["image"] = url


def eject():
    state["image"] = None
    os.remove(cd)


class Bmc(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body=None, headers=()):
        octets = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)

    def body(self):
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")

    def is_known(self):
        return self.headers.get("X-Auth-Token") in state["sessions"]

    def do_GET(self):
        with lock:
            if self.path.rstrip("/") == ROOT:
                links = {name: {"@odata.id": ROOT + "/" + name} for name in ("Systems", "AccountService")}
                return self.reply(200, dict(links, Links={"Sessions": {"@odata.id": SESSIONS}}))
            if not self.is_known():
                return self.reply(401)
            if self.path == ROOT + "/Systems":
                return self.reply(200, {"Members": [{"@odata.id": ROOT + "/Systems/1"}]})
            if self.path == ROOT + "/Systems/1":
                return self.reply(200, {"Id": "1", "PowerState": "On", "VirtualMedia": {"@odata.id": MEDIA}})
            if self.path == MEDIA:
                return self.reply(200, {"Members": [{"@odata.id": MEDIA + "/Cd"}]})
            if self.path == MEDIA + "/Cd":
                target = lambda verb: {"target": MEDIA + "/Cd/Actions/VirtualMedia." + verb}
                actions = {"#VirtualMedia." + verb: target(verb) for verb in ("InsertMedia", "EjectMedia")}
                image = state["image"]
                return self.reply(200, {"Id": "Cd", "MediaTypes": ["CD"], "Image": image, "Inserted": bool(image), "Actions": actions})
            if self.path == ROOT + "/AccountService":
                return self.reply(200, {"Accounts": {"@odata.id": ACCOUNTS}})
            if self.path == ACCOUNTS:
                return self.reply(200, {"Members": [{"@odata.id": ACCOUNTS + "/" + number} for number in state["accounts"]]})
            number = self.path.rsplit("/", 1)[-1]
            if self.path.startswith(ACCOUNTS) and number in state["accounts"]:
                return self.reply(200, {"Id": number, "UserName": state["accounts"][number][0]})
            self.reply(404)

    def do_POST(self):
        body = self.body()
        with lock:
            if self.path == SESSIONS:
                if [body["UserName"], body["Password"]] not in state["accounts"].values():
                    return self.reply(401)
                state["made"] += 1
                token = "token%d" % state["made"]
                state["sessions"][token] = body["UserName"]
                save()
                return self.reply(201, {}, [("X-Auth-Token", token), ("Location", SESSIONS + "/" + token)])
            if not self.is_known():
                return self.reply(401)
            if self.path == ACCOUNTS:
                state["accounts"][str(len(state["accounts"]) + 1)] = [body["UserName"], body["Password"]]
                save()
                return self.reply(201, {})
            if self.path.startswith(MEDIA):
                try:
                    insert(body["Image"]) if self.path.endswith("InsertMedia") else eject()
                except Exception as error:
                    return self.reply(400, {"error": {"message": "cannot fetch %s: %s" % (body.get("Image"), error)}})
                save()
                return self.reply(204)
            self.reply(404)

    def do_PATCH(self):
        body = self.body()
        hold = os.path.join(directory, "hold")
        if os.path.exists(hold):
            with lock:
                state["waiting"] += 1
                save()
            while os.path.exists(hold):
                time.sleep(0.01)
            self.close_connection = True
            return
        with lock:
            if not self.is_known():
                return self.reply(401)
            state["accounts"][self.path.rsplit("/", 1)[-1]][1] = body["Password"]
            save()
            self.reply(204)

    def do_DELETE(self):
        with lock:
            state["sessions"].pop(self.path.rsplit("/", 1)[-1], None)
            save()
            self.reply(204)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def finish_request(self, request, client_address):
        # In the connection's own thread: one that says nothing keeps no other waiting.
        super().finish_request(context.wrap_socket(request, server_side=True), client_address)

    def handle_error(self, *_):
        pass


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server = Server((address, 443), Bmc)
save()
print("a BMC listens", flush=True)
server.serve_forever()
