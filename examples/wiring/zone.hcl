# The devices of a switch lab; their cables come from its own wiring files. See README.md.

zone "str" {
  domain   = "str.example.net"
  supernet = "10.251.0.0/20"
  capacity = { pods = 1, racks = 2, units = 8 }
}

network "management" {
  per = "zone"
  for = ["switch", "controller"]
}

network "test" {
  per        = "rack"
  for        = ["machine"]
  interfaces = ["p4p1"]
}

network "bmc" {
  per = "rack"
  for = ["bmc"]
}

model "Arista-7260QX-64" {
  kind       = "switch"
  ports      = ["Ethernet{1..64}", "PSU{1..2}"]
  circuit_id = "{port}"
  remote_id  = "{name}"
}

model "Sonic-Mgmt" {
  kind       = "switch"
  ports      = ["Ethernet{0..47}", "PSU{1..2}"]
  circuit_id = "{name}:{port}"
}

# Switches under test are cabled, not run.
model "Mellanox-2700" {
  kind  = "other"
  ports = ["Ethernet{0..124..4}", "PSU{1..2}"]
}

model "Force10-S6000" {
  kind  = "other"
  ports = "Ethernet{0..124..4}"
}

model "IxiaChassis" {
  kind  = "other"
  ports = "Ethernet{0..124..4}"
}

model "SKU" {
  kind  = "other"
  ports = "PSU{1..2}"
}

model "Pdu" {
  kind  = "other"
  ports = "{1..24}"
}

model "TestServ" {
  kind  = "server"
  nics  = "p4p1"
  bmc   = { port = "iDRAC" }
  ports = "PSU{1..2}"
}

model "seed" {
  kind = "server"
  nics = "eno1"
  bmc  = false
}

core "str-7260-11" {
  model = "Arista-7260QX-64"
  name  = "{label}"
  slot  = 1
}

controller "ctl1" {
  model = "seed"
  cable = { eno1 = core.str-7260-11.Ethernet[1] }
}

pod "p1" {
  rack "r1" {
    leaf "str-7260-10" {
      model = "Arista-7260QX-64"
      name  = "{label}"
      slot  = 1
    }

    lom "management-1" {
      model = "Sonic-Mgmt"
      name  = "{label}"
      cable = { Ethernet47 = core.str-7260-11.Ethernet[2] }
    }

    machine "u1" {
      model = "TestServ"
      name  = "str-acs-serv-01"
    }
  }
}

device "str-msn2700-01" {
  model = "Mellanox-2700"
}

device "switch01" "switch01-bmc" {
  model = "SKU"
}

device "pdu-{1..2}" {
  model = "Pdu"
}

device "vnut-t0-{01..02}" "vnut-t1-01" "vnut-l2snk-01" "vnut-l2msnk-{01..02}" {
  model = "Force10-S6000"
}

device "vnut-tg-01" "vnut-l2snk-tg" {
  model = "IxiaChassis"
}

# The snake tests of this lab loop a switch to itself on purpose.
cabling "sonic_lab_links.csv" {
  loops = true
}

cabling "sonic_lab_bmc_links.csv" {}

cabling "sonic_lab_pdu_links.csv" {
  wrong_rows = "skip"
}
