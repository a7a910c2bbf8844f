//! Named limits: each bounds one thing that a design's text could otherwise make grow without end.

/// Bytes of one file. A zone of 10,000 machines written out one by one takes some 3 MB.
pub(crate) const FILE_BYTES_MAX: usize = 32 << 20;

/// Bytes of all design files (`*.hcl`) together: their tree takes some ten times as much.
pub(crate) const DESIGN_BYTES_MAX: usize = 64 << 20;

/// Brackets within brackets: as many as the HCL parser takes.
pub(crate) const NESTING_MAX: usize = 64;

/// Entries of one object, and attributes of one block. The HCL parser compares each key with all before it.
pub(crate) const ENTRIES_MAX: usize = 1024;

/// Comparisons that this comes to in one file: some hundred objects of a thousand entries, or any number of short ones.
pub(crate) const ENTRY_PAIRS_MAX: usize = 64 << 20;

/// Files of one design; `Source::file` is 16 bits wide.
pub(crate) const FILES_MAX: usize = 4096;

/// What one pattern may expand to.
pub(crate) const PATTERN_MAX: usize = 16_384;

/// Bytes of all expanded names of a design, each counted with its place in a list: more than a million short ones.
pub(crate) const NAMES_BYTES_MAX: usize = 48 << 20;

/// Bytes of the files of checks that all roles hold together.
pub(crate) const CHECKS_BYTES_MAX: usize = 64 << 20;

/// Templates of one image.
pub(crate) const TEMPLATES_MAX: usize = 32;

/// Bytes of all texts that templates are rendered from: each is read by the engine whenever the design is.
pub(crate) const TEMPLATES_BYTES_MAX: usize = 4 << 20;

/// Operators, choices and numbers of one expression: it is computed for each device.
pub(crate) const EXPRESSION_MAX: usize = 128;

/// Ports of one model; `PortIndex` is 16 bits wide.
pub(crate) const PORTS_MAX: usize = 4096;

/// Pods of a zone; `PodId` is 16 bits wide.
pub(crate) const PODS_MAX: usize = 65_535;

/// Blocks of one kind that become a table with a 16-bit index.
pub(crate) const TABLE_MAX: usize = 65_535;

/// Devices of a zone: ten times what a zone is meant for.
pub(crate) const DEVICES_MAX: usize = 1_000_000;

/// Places that patterns of pods, racks and devices multiply to, whether or not something can stand there.
pub(crate) const PLACES_MAX: usize = 2 * DEVICES_MAX;

/// Cables of a zone.
pub(crate) const CABLES_MAX: usize = 8_000_000;

/// Findings that are kept: the rest are counted.
pub(crate) const FINDINGS_MAX: usize = 500;

/// Length of a label, so that locations and names stay short: that of a DNS label (RFC 1035 §2.3.4).
pub(crate) const LABEL_MAX: usize = 63;

/// Length of a pattern or template, before it is expanded: what it stands for is held many times over.
pub(crate) const TEMPLATE_MAX: usize = 255;

/// Ports of all devices together; what is plugged in is a table of them.
pub(crate) const SOCKETS_MAX: u64 = 64 << 20;

/// How many mistakes in cables get a "did you mean": each is a search through the names of the zone.
pub(crate) const SUGGESTIONS_MAX: u32 = 20;
