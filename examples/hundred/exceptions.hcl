# What differs from the rule, one block for each kind of difference.

# The last four of these racks are storage.
at "p{1..2}/r3/u{13..16}" {
  role  = "storage"
  model = "r740"
  name  = "st-{pod}-{rack}-{unit}"
}

# Port 7 of this switch is broken: the machine is on 47.
at "p1/r2/u07" {
  cable = { eno1 = leaf.a.swp47 }
}

# This machine was taken out.
at "p2/r1/u16" {
  absent = true
}
