//! Any wiring file is read within bounds: the twin of the fuzz target `wiring`.

use super::corpus;
use super::spoil::spoil;
use crate::fuzzing;
use model::Design;

fn samples() -> [Vec<u8>; 3] {
    [
        "StartDevice,StartPort,EndDevice,EndPort,BandWidth,VlanID,VlanMode\n\
         p1-r1-u1,eno1,p1-r1-leaf-a,swp1,25000,1681-1712,Trunk\np1-r1-u1,eno2,p1-r1-leaf-b,swp1,,\n",
        "start_device;start port\n",
        "\u{feff}end-port,END_DEVICE,start_port,start_device,note\r\nswp3,p1/r1/leaf-a,bmc,ams1/p1/r1/u3,\"a, b\"\r\n\
         # why\r\n\r\nswp4,ams1/p1/r1/leaf-b,\"eno1\",P1-R1-U4\r\n",
    ]
    .map(|text| text.as_bytes().to_vec())
}

const PIECES: [&[u8]; 12] = [
    b"\"",
    b",",
    b"\n",
    b"\r",
    b"\"\"",
    b"p1-r1-u1",
    b"swp1",
    b"4294967296",
    b"#",
    b" ",
    b"\t",
    b"\xe2\x80\x8b",
];

#[test]
fn any_wiring_file_is_read_within_bounds() {
    spoil(&samples(), &PIECES, 8_000, |bytes| fuzzing::wiring(&String::from_utf8_lossy(bytes)));
}

#[test]
fn what_the_fuzzer_kept() {
    corpus::run("wiring", |bytes| fuzzing::wiring(&String::from_utf8_lossy(bytes)));
}

#[test]
fn the_zone_drawn_once_is_cabled_as_the_zone_read_whole() {
    let mut cabled = 0;
    spoil(&samples(), &PIECES, 300, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let (cables, findings) = fuzzing::wired(&text);
        let (design, told) = crate::parse(&fuzzing::files(&text, "skip"));
        assert_eq!(findings, told);
        assert_eq!(design.as_ref().map(|design: &Design| &design.cables), design.as_ref().map(|_| &cables));
        cabled += cables.len();
    });
    assert!(cabled > 50, "{cabled} cables");
}
