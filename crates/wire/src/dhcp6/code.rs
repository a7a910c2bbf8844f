//! Option codes, by the names of the IANA registry.

macro_rules! codes {
    ($($name:ident $code:literal $meaning:literal)*) => {$(
        #[doc = $meaning]
        pub const $name: u16 = $code;
    )*};
}

codes! {
    CLIENT_ID 1 "The client's DUID."
    SERVER_ID 2 "The server's DUID."
    IA_NA 3 "An association of addresses: id, T1, T2, options."
    IA_TA 4 "An association of temporary addresses: id, options."
    IA_ADDRESS 5 "An address: preferred and valid lifetime, options."
    OPTION_REQUEST 6 "Codes of the options that a client wants."
    PREFERENCE 7 "How much a server wants to be chosen; 255 is at once."
    ELAPSED_TIME 8 "Hundredths of a second since the client began."
    RELAY_MESSAGE 9 "The message inside a relay's."
    STATUS_CODE 13 "See [`super::Status`], and words."
    RAPID_COMMIT 14 "Two messages instead of four."
    USER_CLASS 15 "What program asks: `iPXE`."
    VENDOR_CLASS 16 "Enterprise number, and what kind of client it is: `HTTPClient:Arch:00016:UNDI:003000`."
    INTERFACE_ID 18 "The port, as the relay writes it; echoed."
    DNS_SERVERS 23 "Addresses, preferred first (RFC 3646)."
    DOMAIN_LIST 24 "A list of domains (RFC 3646)."
    IA_PD 25 "An association of delegated prefixes: id, T1, T2, options."
    SNTP_SERVERS 31 "Addresses of time servers (RFC 4075), which some clients still ask for."
    INFORMATION_REFRESH_TIME 32 "Seconds until a client that has no address asks again."
    REMOTE_ID 37 "Enterprise number, and the relay as it writes itself (RFC 4649)."
    CLIENT_FQDN 39 "Flags and the client's name (RFC 4704)."
    NTP_SERVER 56 "Time servers, as sub-options (RFC 5908)."
    BOOT_FILE_URL 59 "What to boot (RFC 5970)."
    CLIENT_ARCHITECTURE 61 "Kinds of processor and firmware, two octets each (RFC 5970)."
    CLIENT_LINK_LAYER_ADDRESS 79 "Hardware type and address, as the relay saw it (RFC 6939)."
    SOL_MAX_RT 82 "Seconds between Solicits at the most."
    INF_MAX_RT 83 "Seconds between Information-requests at the most."
}
