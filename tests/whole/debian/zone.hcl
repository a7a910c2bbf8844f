# A machine that Debian's own installer makes, from our preseed. The test gives the zone a name of its own, and lays the images.

zone "metal" {
  domain   = "metal.example.net"
  supernet = ["10.65.0.0/16"]
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
  expect = { cpus = 2, memory = "2GiB", disks = [{ count = 1, size = "12GB", kind = "ssd" }] }
}

model "seed" {
  kind = "server"
  nics = ["eno1"]
  bmc  = false
}

image "netinst" {
  kernel   = "images/netinst/linux"
  initrd   = ["images/netinst/initrd.gz", "images/netinst/supplement.img"]
  args     = "auto=true priority=critical interface=auto url=$${zw-base}/boot/template/preseed.cfg DEBIAN_FRONTEND=text console=ttyS0,115200"
  installs = true

  template "preseed.cfg" {
    file = "preseed.j2"
  }
}

layout "small" {
  disks = { count = 1, kind = "ssd" }
  root  = "4GiB"

  volume "data" {
    mount = "/srv"
  }
}

role "server" {
  boot     = image.netinst
  disks    = layout.small
  ssh_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHQfLhZK4FVtFY3ExS4TX4a0JVQF4VJ9IVGHbCLi7dxB nobody@example.net"]

  check "checks/server.yaml" {}
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

    machines "u01" {
      role  = "server"
      model = "node"
      name  = "srv-{pod}-{rack}-{unit}"
      cable = { eno1 = leaf.a.swp[unit], eno2 = leaf.b.swp[unit], bmc = lom.swp[unit] }
    }
  }
}
