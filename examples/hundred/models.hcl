# What is bought, and what it runs.

model "spine32" {
  kind       = "switch"
  ports      = "swp{1..32}"
  circuit_id = "{port}"
  remote_id  = "{name}"
}

model "leaf48" {
  kind       = "switch"
  ports      = ["swp{1..48}", "uplink{1..4}"]
  circuit_id = "{port}"
  remote_id  = "{name}"
}

# An older kind of relay: VLAN, module and port as numbers, and nothing that says which switch it is.
model "console24" {
  kind       = "switch"
  ports      = "Gi{1..26}"
  circuit_id = "hex:0004{vlan:2}00{port:1}"
}

model "r650" {
  kind   = "server"
  nics   = ["eno1", "eno2"]
  bonds  = { bond0 = ["eno1", "eno2"] }
  expect = { cpus = 64, memory = "512GiB", disks = [{ count = 2, size = "1.9TB", kind = "nvme" }], nic_speed = "25G" }
}

model "r740" {
  kind   = "server"
  nics   = ["eno1", "eno2"]
  bonds  = { bond0 = ["eno1", "eno2"] }
  expect = { cpus = 48, memory = "384GiB", disks = [{ count = 12, size = "7.68TB", kind = "ssd" }], nic_speed = "25G" }
}

# The BMC of this one has no jack of its own.
model "jbod60" {
  kind   = "server"
  nics   = "eno1"
  bmc    = { shares = "eno1", vendor_class = ["udhcp", "OpenBMC"] }
  expect = { cpus = 16, memory = "128GiB", disks = [{ count = 60, size = "18TB", kind = "hdd" }] }
}

model "seed" {
  kind = "server"
  nics = ["eno1"]
  bmc  = false
}

image "debian12-kvm" {
  kernel = "images/debian12-kvm/vmlinuz"
  initrd = ["images/debian12-kvm/initrd.img"]
  args   = "console=ttyS1,115200"
}

image "debian12-storage" {
  kernel = "images/debian12-storage/vmlinuz"
  initrd = ["images/debian12-storage/initrd.img"]
  args   = "console=ttyS1,115200"
}
