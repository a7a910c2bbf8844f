# A machine that is installed: a Debian on two slots of mirrored disks, so that an upgrade can fall back.
#
#   zw lab up . --vm p01/r1/u01                 a machine with real firmware, from empty disks to ready
#
# The images that it needs, an installer and a Debian, are built first, once; `zw image build` makes them for machines that are not
# a lab's (docs/guides/images.md). All of it is told in docs/guides/installing.md.

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
  expect = { cpus = 2, memory = "2GiB", disks = [{ count = 2, size = "12GB", kind = "ssd" }] }
}

model "seed" {
  kind = "server"
  nics = ["eno1"]
  bmc  = false
}

# The installer lives in memory and writes the system below, if the machine is armed.
image "installer" {
  kernel   = "images/installer/vmlinuz"
  initrd   = ["images/installer/installer.img", "images/installer/agent.img"]
  args     = "console=ttyS0,115200 panic=30"
  installs = true
}

os "debian" {
  image = "images/debian"
  args  = "console=ttyS0,115200"
}

layout "mirrored" {
  disks = { count = 2, kind = "ssd" }
  raid  = 1
  root  = "3GiB"

  volume "data" {
    mount = "/srv"
  }
}

role "server" {
  boot  = image.installer
  os    = os.debian
  disks = layout.mirrored

  # Who has its address and port is not yet the machine: its TPM is.
  trust = "tpm"

  # A rehearsal; on real machines it is minutes and hours.
  burn_in = { cpu = "10s", memory = "10s", disk = "10s" }

  check "checks/server.yaml" {}

  service "ssh" {
    port = 22
  }
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
