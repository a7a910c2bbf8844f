//! Option codes, by the names of the IANA registry.

macro_rules! codes {
    ($($name:ident $code:literal $meaning:literal)*) => {$(
        #[doc = $meaning]
        pub const $name: u8 = $code;
    )*};
}

codes! {
    PAD 0 "Nothing, one octet (RFC 2132 §3.1)."
    SUBNET_MASK 1 "Four octets."
    ROUTER 3 "Addresses, preferred first."
    DOMAIN_NAME_SERVER 6 "Addresses, preferred first."
    HOST_NAME 12 "A DNS label or name."
    DOMAIN_NAME 15 "The domain to resolve short names in."
    INTERFACE_MTU 26 "Two octets."
    BROADCAST_ADDRESS 28 "Four octets."
    NTP_SERVERS 42 "Addresses, preferred first."
    VENDOR_SPECIFIC 43 "Options of the vendor that Option 60 names."
    REQUESTED_ADDRESS 50 "The address a client wants."
    LEASE_TIME 51 "Seconds, four octets."
    OVERLOAD 52 "Options go on in `file` (1), `sname` (2) or both (3)."
    MESSAGE_TYPE 53 "See [`super::MessageType`]."
    SERVER_IDENTIFIER 54 "The server's address, by which a client names the one it chose."
    PARAMETER_REQUEST_LIST 55 "Codes of the options a client wants, in its order."
    MESSAGE 56 "Why a request was refused, in words."
    MAXIMUM_MESSAGE_SIZE 57 "Octets of IP datagram that the client takes, at least 576."
    RENEWAL_TIME 58 "T1, in seconds."
    REBINDING_TIME 59 "T2, in seconds."
    VENDOR_CLASS 60 "What kind of client it is: `PXEClient:Arch:00007:UNDI:003016`."
    CLIENT_IDENTIFIER 61 "A client's own name for itself; echoed (RFC 6842)."
    TFTP_SERVER_NAME 66 "The boot server, where `sname` is not used for it."
    BOOT_FILE_NAME 67 "The boot file, where `file` is not used for it."
    USER_CLASS 77 "What program asks (RFC 3004): `iPXE`."
    RELAY_AGENT_INFORMATION 82 "What the relay says of the port (RFC 3046)."
    CLIENT_ARCHITECTURE 93 "Kinds of processor and firmware, two octets each (RFC 4578)."
    CLIENT_NETWORK_INTERFACE 94 "UNDI version (RFC 4578)."
    CLIENT_MACHINE_IDENTIFIER 97 "SMBIOS UUID (RFC 4578)."
    DOMAIN_SEARCH 119 "A list of domains (RFC 3397)."
    TFTP_SERVER_ADDRESS 150 "Addresses of TFTP servers (RFC 5859)."
    IPXE 175 "iPXE's own options; only iPXE sends it."
    END 255 "No option follows."
}
