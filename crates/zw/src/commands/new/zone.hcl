# A starter design: one pod, one rack, four machines. Everything that is not written here is derived from it: names,
# addresses, DNS, DHCP, boot. A machine is known by where it is plugged in; there is no list of MAC addresses.
#
#   zw check .      what is wrong with it
#   zw plan .       what it compiles to
#   zw lab up .     power it on, on this machine
#
# The language is described in docs/reference/design.md.

# The zone: the first part of every location (`home/p1/r1/u3`).
zone "home" {
  domain = "home.example.net"

  # One IPv4 block, one IPv6 block, or both. Every prefix is cut from them.
  supernet = ["10.80.0.0/16", "2001:db8:80::/48"]

  # What the address plan leaves room for. Growth inside it renumbers nothing, so be generous.
  capacity = { pods = 4, racks = 8, units = 40 }
}

# Networks: one subnet per zone, pod or rack, for one or more kinds of interface. New ones go at the end, as the order
# here is the order in the address plan.

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

# Models: what is bought. A switch model says which bytes its DHCP relay writes in Option 82: that is how a request
# tells which port it came from. `zw check` shows the fields that are known.

model "switch48" {
  kind       = "switch"
  ports      = ["swp{1..48}", "uplink{1..4}"]
  circuit_id = "{port}"
  remote_id  = "{name}"
}

# A server model names its network ports and what it should be found to have.
model "node" {
  kind   = "server"
  nics   = ["eno1", "eno2"]
  bonds  = { bond0 = ["eno1", "eno2"] } # both ports share one address
  bmc    = { port = "bmc" }
  expect = { cpus = 2, memory = "4GiB" }
}

model "seed" {
  kind = "server"
  nics = ["eno1"]
  bmc  = false
}

# Images and roles: what is booted, and what must hold before a machine counts as ready.

image "node" {
  kernel = "images/node/vmlinuz"
  initrd = ["images/node/initrd.img"]
  args   = "console=ttyS0,115200"
}

role "node" {
  boot = image.node

  check "checks/node.yaml" {}

  # Becomes an SRV record.
  service "ssh" {
    port = 22
  }
}

# The drawing. At the root: core switches and the machine that runs `zw serve`.

core "c1" {
  model = "switch48"
}

controller "ctl1" {
  model = "seed"
  cable = { eno1 = core.c1.swp[48] }
}

# A label may be a pattern: `pod "p{1..4}"` draws four pods alike.
pod "p1" {
  rack "r1" {
    # Two top-of-rack switches: `leaf.a` is number 1, `leaf.b` number 2.
    leaf "a" "b" {
      model = "switch48"
      cable = { uplink1 = core.c1.swp[(pod - 1) * 24 + (rack - 1) * 3 + number] }
    }

    # The lights-out switch, for the BMCs.
    lom {
      model = "switch48"
      cable = { uplink1 = core.c1.swp[(pod - 1) * 24 + (rack - 1) * 3 + 3] }
    }

    # Machines, and the rule by which each is cabled: the machine of unit 3 is on port 3.
    machines "u{1..4}" {
      role  = "node"
      model = "node"
      name  = "{pod}-{rack}-{unit}"
      cable = { eno1 = leaf.a.swp[unit], eno2 = leaf.b.swp[unit], bmc = lom.swp[unit] }
    }
  }
}

# The one that differs would be changed by its location:
#
#   at "p1/r1/u3" {
#     name = "odd-one-out"
#   }
