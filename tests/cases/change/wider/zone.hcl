# A zone that fits in a pocket: one core switch, two pods of one rack each, in every rack a top-of-rack pair,
# a lights-out switch and four hypervisors with their BMCs. `zw lab up examples/pocket` powers it on.

zone "lab1" {
  domain   = "lab1.example.net"
  supernet = ["10.64.0.0/16", "2001:db8:64::/48"]
  capacity = { pods = 4, racks = 2, units = 16 } # growth inside this renumbers nothing
}

# Networks, in the order they take their place in the address plan.

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

# What is bought.

model "switch32" {
  kind       = "switch"
  ports      = "swp{1..32}"
  circuit_id = "{port}" # the bytes its relay writes in Option 82, sub-option 1
  remote_id  = "{name}" # and in sub-option 2
}

model "node" {
  kind   = "server"
  nics   = ["eno1", "eno2"]
  bonds  = { bond0 = ["eno1", "eno2"] } # one address, whichever cable the request comes by
  bmc    = { port = "bmc" }
  expect = { cpus = 2, memory = "4GiB", disks = [{ count = 1, size = "20GB", kind = "ssd" }] }
}

model "seed" {
  kind = "server"
  nics = ["eno1"]
  bmc  = false
}

# What the machines run.

image "kvm" {
  kernel = "images/kvm/vmlinuz"
  initrd = ["images/kvm/initrd.img"]
  args   = "console=ttyS0,115200"
}

role "hypervisor" {
  boot = image.kvm

  check "checks/kvm.yaml" {}

  service "ssh" {
    port = 22
  }
}

# The zone, drawn.

core "c1" {
  model = "switch32"
}

controller "ctl1" {
  model = "seed"
  cable = { eno1 = core.c1.swp[32] }
}

pod "p{01..02}" {
  rack "r1" {
    leaf "a" "b" {
      model = "switch32"
      cable = { swp32 = core.c1.swp[(pod - 1) * 4 + number] } # a is number 1, b is number 2
    }

    lom {
      model = "switch32"
      cable = { swp32 = core.c1.swp[(pod - 1) * 4 + 3] }
    }

    machines "u{01..04}" {
      role  = "hypervisor"
      model = "node"
      name  = "hv-{pod}-{rack}-{unit}"
      cable = { eno1 = leaf.a.swp[unit], eno2 = leaf.b.swp[unit], bmc = lom.swp[unit] }
    }
  }
}
