zone "ams1" {
  domain   = "ams1.example.net"
  supernet = "10.32.0.0/14"
  capacity = { pods = 1, racks = 1, units = 8 }
}
model "leaf" {
  kind  = "switch"
  ports = "swp{1..8}"
}
model "box" {
  kind = "server"
  nics = ["eno1", "eno2"]
}
pod "p1" {
  rack "r1" {
    leaf "a" "b" { model = "leaf" }
    machines "u{1..8}" { model = "box" }
  }
}
controller "ctl1" { model = "box" }
