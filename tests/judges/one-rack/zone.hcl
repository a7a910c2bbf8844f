# One rack for clients, relays and judges that we did not write. The relay writes no remote-id, as isc-dhcp-relay
# does not: its address alone tells which switch it is.

zone "judged" {
  domain      = "judged.example.net"
  supernet    = ["10.77.0.0/16", "2001:db8:77::/48"]
  capacity    = { pods = 2, racks = 2, units = 16 }
  lease       = "1h"
  transfer_to = ["192.0.2.53/32"]
}

network "mgmt" {
  per = "zone"
  for = ["switch", "controller"]
}

network "boot" {
  per = "rack"
  for = ["machine"]
}

model "leaf24" {
  kind       = "switch"
  ports      = "swp{1..24}"
  circuit_id = "{port}"
}

model "node" {
  kind = "server"
  nics = ["eth0"]
  bmc  = false
}

image "kvm" {
  kernel = "images/vmlinuz"
  initrd = ["images/initrd.img"]
  args   = "console=ttyS0,115200"
}

role "hypervisor" {
  boot = image.kvm

  service "ssh" {
    port = 22
  }
}

# Machines need not see the way to the switches.
view "machines" {
  clients  = ["10.77.0.0/16"]
  networks = ["boot"]
}

core "c1" {
  model = "leaf24"
}

controller "ctl1" {
  model = "node"
  cable = { eth0 = core.c1.swp[24] }
}

pod "p01" {
  rack "r1" {
    leaf "a" {
      model = "leaf24"
      cable = { swp24 = core.c1.swp[1] }
    }

    machines "u{01..12}" {
      role  = "hypervisor"
      model = "node"
      name  = "hv-{unit}"
      cable = { eth0 = leaf.a.swp[unit] }
    }
  }
}
