# The zone of these tests: small enough to be read whole, with one of everything DNS and boot answer for.

zone "ams1" {
  domain      = "Ams1.example.net"
  supernet    = ["10.32.0.0/15", "2001:db8:32::/47"]
  capacity    = { pods = 2, racks = 2, units = 4 }
  transfer_to = ["192.0.2.53/32", "2001:db8:53::/64"]
}

network "mgmt" {
  per = "zone"
  for = ["switch", "controller"]
}

network "boot" {
  per = "rack"
  for = ["machine"]
}

network "bmc" {
  per = "rack"
  for = ["bmc"]
}

view "users" {
  clients  = ["192.0.2.0/25", "198.51.100.0/24"]
  networks = ["boot"]
}

model "switch32" {
  kind       = "switch"
  ports      = "swp{1..32}"
  circuit_id = "{port}"
  remote_id  = "{name}"
}

model "node" {
  kind = "server"
  nics = ["eno1"]
  bmc  = { port = "bmc" }
}

model "seed" {
  kind = "server"
  nics = ["eno1"]
  bmc  = false
}

image "kvm" {
  kernel = "images/kvm/vmlinuz"
  initrd = ["images/kvm/initrd.img"]
  args   = "console=ttyS0"
}

image "disk" {
  kernel   = "images/disk/vmlinuz"
  installs = true

  template "meta-data" {}

  template "agent.sh" {}

  template "broken" {
    file = "broken.j2"
  }
}

image "lost" {
  kernel = "images/lost/vmlinuz"
}

role "hypervisor" {
  boot = image.kvm

  service "ssh" {
    port = 22
  }
}

role "storage" {
  boot = image.disk
}

role "plain" {}

role "broken" {
  boot = image.lost
}

core "c1" {
  model = "switch32"
}

controller "ctl1" {
  model = "seed"
  cable = { eno1 = core.c1.swp[31] }
}

controller "ctl2" {
  model = "seed"
  cable = { eno1 = core.c1.swp[32] }
}

pod "p1" {
  rack "r1" {
    leaf "a" {
      model = "switch32"
      cable = { swp32 = core.c1.swp[1] }
    }

    lom {
      model = "switch32"
      cable = { swp32 = core.c1.swp[2] }
    }

    machines "u{1..4}" {
      role  = "hypervisor"
      model = "node"
      name  = "hv-{unit}"
      cable = { eno1 = leaf.a.swp[unit], bmc = lom.swp[unit] }
    }
  }
}

at "p1/r1/u2" {
  role = "storage"
  name = "st-2"
}

at "p1/r1/u3" {
  role = "plain"
  name = "plain-3"
}

at "p1/r1/u4" {
  role = "broken"
  name = "broken-4"
}
