# A zone of about a hundred machines: two pods of three racks, hypervisors and storage, two controllers.
# Models and images are in models.hcl; what differs from the rule is in exceptions.hcl.

zone "fra1" {
  domain       = "fra1.example.net"
  supernet     = ["10.20.0.0/16", "2001:db8:20::/48"]
  capacity     = { pods = 8, racks = 8, units = 24 }
  lease        = "12h"
  time_servers = ["192.0.2.123"]
  transfer_to  = ["192.0.2.53/32"]
}

network "management" {
  per = "zone"
  for = ["switch", "controller"]
}

network "boot" {
  per = "rack"
  for = ["machine"]
}

# The lights-out switch puts the BMCs' untagged frames into VLAN 20, and says so in its circuit-id.
network "bmc" {
  per    = "rack"
  for    = ["bmc"]
  vlan   = 20
  native = true
}

# Tagged, on the bond, with room for a virtual address for each storage service.
network "storage" {
  per   = "pod"
  for   = ["machine"]
  vlan  = 300
  mtu   = 9000
  ipv6  = false
  spare = 16
}

# Clients on the office network see management and BMC addresses only.
view "office" {
  clients  = ["192.0.2.0/24"]
  networks = ["management", "bmc"]
}

# How disks are used. The images of this example live in memory and leave them alone; an image that installs finds it here.
layout "mirrored" {
  disks = { count = 2, kind = "nvme" }
  raid  = 1
}

layout "separate" {}

role "hypervisor" {
  boot       = image.debian12-kvm
  disks      = layout.mirrored
  guest_ouis = ["52:54:00"]

  check "checks/kvm.yaml" {}

  service "ssh" {
    port = 22
  }

  service "libvirt" {
    port = 16514
  }
}

role "storage" {
  boot  = image.debian12-storage
  disks = layout.separate

  check "checks/storage.yaml" {}
}

core "c1" "c2" {
  model = "spine32"
}

controller "ctl1" {
  model = "seed"
  cable = { eno1 = core.c1.swp[32] }
}

controller "ctl2" {
  model = "seed"
  cable = { eno1 = core.c2.swp[32] }
}

pod "p{1..2}" {
  rack "r{1..3}" {
    leaf "a" "b" {
      model = "leaf48"
      cable = { uplink1 = core.c1.swp[pod * 12 - 12 + rack * 4 - 4 + number], uplink2 = core.c2.swp[pod * 12 - 12 + rack * 4 - 4 + number] }
    }

    lom {
      model = "console24"
      cable = { Gi25 = core.c1.swp[pod * 12 - 12 + rack * 4 - 1] }
    }

    machines "u{01..16}" {
      role  = "hypervisor"
      model = "r650"
      name  = "hv-{pod}-{rack}-{unit}"
      cable = { eno1 = leaf.a.swp[unit], eno2 = leaf.b.swp[unit], bmc = lom.Gi[unit] }
    }
  }

  # One odd rack in each pod, with a single switch.
  rack "r4" {
    leaf "a" {
      model = "leaf48"
      cable = { uplink1 = core.c1.swp[24 + pod] }
    }

    machine "u01" {
      role  = "storage"
      model = "jbod60"
      name  = "archive-{pod}"
      cable = { eno1 = leaf.a.swp1 }
    }
  }
}
