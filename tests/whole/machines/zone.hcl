# Two machines on a pair of leaves, which boot the installer and live in memory. The tests give it a name of its own.

zone "metal" {
  domain   = "metal.example.net"
  supernet = ["10.64.0.0/16", "2001:db8:64::/48"]
  capacity = { pods = 4, racks = 2, units = 16 }
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

model "switch32" {
  kind       = "switch"
  ports      = "swp{1..32}"
  circuit_id = "{port}"
  remote_id  = "{name}"
}

model "node" {
  kind   = "server"
  nics   = ["eno1", "eno2"]
  bonds  = { bond0 = ["eno1", "eno2"] }
  bmc    = { port = "bmc" }
  expect = { cpus = 2, memory = "2GiB", disks = [{ count = 1, size = "20GB", kind = "ssd" }, { count = 1, size = "40GB", kind = "nvme" }] }
}

model "seed" {
  kind = "server"
  nics = ["eno1"]
  bmc  = false
}

image "installer" {
  kernel = "images/installer/vmlinuz"
  initrd = ["images/installer/installer.img", "images/installer/agent.img"]
  args   = "console=ttyS0 panic=30"
}

role "hypervisor" {
  boot    = image.installer
  burn_in = { cpu = "1s", memory = "1s", disk = "1s" }
}

core "c1" {
  model = "switch32"
}

controller "ctl1" {
  model = "seed"
  cable = { eno1 = core.c1.swp[32] }
}

pod "p01" {
  rack "r1" {
    leaf "a" "b" {
      model = "switch32"
      cable = { swp32 = core.c1.swp[number] }
    }

    lom {
      model = "switch32"
      cable = { swp32 = core.c1.swp[3] }
    }

    machines "u{01..02}" {
      role  = "hypervisor"
      model = "node"
      name  = "hv-{pod}-{rack}-{unit}"
      cable = { eno1 = leaf.a.swp[unit], eno2 = leaf.b.swp[unit], bmc = lom.swp[unit] }
    }
  }
}
