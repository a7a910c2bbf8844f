zone "t1" {
  domain   = "t1.example.net"
  supernet = ["10.99.0.0/20"]
  capacity = { pods = 1, racks = 1, units = 8 }
  color    = "blue"
}

network "mgmt" {
  per = "zone"
  for = ["switch", "controller"]
}

network "boot" {
  per = "rack"
  for = ["machines"]
}

model "leaf" {
  kind       = "switch"
  ports      = "swp{1..8}"
  circiut_id = "{port}"
}

model "node" {
  kind = "server"
  nics = ["eno1"]
  bmc  = false
}

core "c1" {
  model = "leaf"
}

controller "ctl1" {
  model = "nod"
  cable = { eno1 = core.c1.swp[9] }
}

pod "p{01..02}" {
  rack "r1" {
    leaf "a" {
      model = "leaf"
    }

    machines "u{1..9}" {
      model = "node"
      cable = { eno1 = leaf.b.swp[unit] }
    }
  }
}
