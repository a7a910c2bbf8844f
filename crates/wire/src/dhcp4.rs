//! dhcp4 messages.
