# 40 pods of 7 racks of 36 machines: 10,080 machines, 922 switches and every cable between them.

zone "ams1" {
  domain   = "ams1.example.net"
  supernet = ["10.32.0.0/13", "2001:db8:3200::/40"]
  capacity = { pods = 64, racks = 8, units = 40, switches = 8 }
  lease    = "12h"
}

network "management" {
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

network "storage" {
  per  = "pod"
  for  = ["machine"]
  vlan = 300
  mtu  = 9000
}

model "core512" {
  kind       = "switch"
  ports      = "Ethernet{1..512}"
  circuit_id = "{name}:{port}"
}

model "spine64" {
  kind       = "switch"
  ports      = "Ethernet{1..64}"
  circuit_id = "{name}:{port}"
}

model "leaf48" {
  kind       = "switch"
  ports      = ["swp{1..48}", "uplink{1..4}"]
  circuit_id = "{port}"
  remote_id  = "{name}"
}

model "r650" {
  kind   = "server"
  nics   = ["eno1", "eno2"]
  bonds  = { bond0 = ["eno1", "eno2"] }
  expect = { cpus = 64, memory = "512GiB", disks = [{ count = 2, size = "1.9TB", kind = "nvme" }], nic_speed = "25G" }
}

model "seed" {
  kind = "server"
  nics = ["eno1"]
  bmc  = false
}

image "kvm" {
  kernel   = "images/kvm/vmlinuz"
  initrd   = "images/kvm/initrd.img"
  installs = true
}

layout "mirrored" {
  disks = { count = 2, kind = "nvme" }
  raid  = 1
}

role "hypervisor" {
  boot  = image.kvm
  disks = layout.mirrored
  check "checks/kvm.yaml" {}
}

core "c1" "c2" { model = "core512" }

controller "ctl1" "ctl2" {
  model = "seed"
  cable = { eno1 = core.c1.Ethernet[510 + number] }
}

pod "p{01..40}" {
  spine "s1" "s2" {
    model = "spine64"
    cable = { Ethernet64 = core.c1.Ethernet[pod * 2 - 2 + number], Ethernet63 = core.c2.Ethernet[pod * 2 - 2 + number] }
  }

  rack "r{1..7}" {
    leaf "a" "b" {
      model = "leaf48"
      cable = { uplink1 = spine.s1.Ethernet[rack * 4 + number], uplink2 = spine.s2.Ethernet[rack * 4 + number] }
    }

    lom {
      model = "leaf48"
      cable = { uplink1 = spine.s1.Ethernet[rack * 4 + 3] }
    }

    machines "u{01..36}" {
      role  = "hypervisor"
      model = "r650"
      name  = "hv-{pod}-{rack}-{unit}"
      cable = { eno1 = leaf.a.swp[unit], eno2 = leaf.b.swp[unit], bmc = lom.swp[unit] }
    }
  }
}
