//! dhcp answers.
