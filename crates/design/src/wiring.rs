//! Wiring files: cables as a table of start device, start port, end device, end port.
//!
//! In: a `cabling` block and the CSV file it names. Out: its cables, plugged in. Column names are read without regard
//! to case, spaces, `_` and `-`, so the lab files of sonic-mgmt work as they are. Unknown columns are allowed, and so
//! are lines that are too short or too long, as long as the columns that are needed are there.

use crate::cable::Sockets;
use crate::report::Report;
use crate::syntax::Block;
use crate::tables::word;
use crate::value;
use model::design::Cable;
use model::finding::{Code, File, Finding, Severity, Source};

struct Columns {
    start_device: usize,
    start_port: usize,
    end_device: usize,
    end_port: usize,
    bandwidth: Option<usize>,
    vlan: Option<usize>,
}

/// Reads the file of one `cabling` block.
pub(crate) fn read(report: &mut Report, block: &Block, files: &[File], sockets: &mut Sockets<'_>) {
    let Some(path) = block.labels.first() else { return };
    let severity = match block.get("wrong_rows").and_then(|attribute| value::text(report, attribute)) {
        Some(written) => {
            let words = [("refuse", Severity::Error), ("skip", Severity::Warning)];
            word(report, "wrong_rows", &written, &words).unwrap_or(Severity::Error)
        }
        None => Severity::Error,
    };
    let loops = block.get("loops").and_then(|attribute| value::boolean(report, attribute)).unwrap_or(false);
    let Some(index) = files.iter().position(|file| file.path == path.value) else {
        value::missing_file(report, path, files, &[".csv"]);
        return;
    };
    let text: &str = &files[index].text;
    // `FILES_MAX` is below 65,536.
    let mut rows = Rows { file: index as u16, text, severity, loops };
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .from_reader(text.as_bytes());
    let mut record = csv::StringRecord::new();
    let mut columns: Option<Columns> = None;
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                let start = error.position().map_or(0, |position| position.byte() as usize);
                let sentence = "this line is not a row of a CSV file";
                report.push(Finding::error(Code::BadWiringRow, rows.line(start), sentence));
                break;
            }
        }
        let start = record.position().map_or(0, |position| position.byte() as usize);
        match &columns {
            None => match header(report, &rows, start, &record) {
                Some(found) => columns = Some(found),
                None => return,
            },
            Some(columns) => rows.row(report, start, &record, columns, sockets),
        }
    }
    if columns.is_none() {
        let sentence = format!("`{}` is empty", path.value);
        report.push(
            Finding::error(Code::BadWiringHeader, path.source, sentence)
                .help("its first line names the columns: StartDevice,StartPort,EndDevice,EndPort"),
        );
    }
}

fn header(report: &mut Report, rows: &Rows<'_>, start: usize, record: &csv::StringRecord) -> Option<Columns> {
    let plain = |name: &str| -> String {
        name.trim_start_matches('\u{feff}')
            .chars()
            .filter(|c| !matches!(c, ' ' | '_' | '-'))
            .map(|c| c.to_ascii_lowercase())
            .collect()
    };
    let names: Vec<String> = record.iter().map(plain).collect();
    let find = |name: &str| names.iter().position(|found| found == name);
    let needed = ["StartDevice", "StartPort", "EndDevice", "EndPort"];
    let missing: Vec<&str> = needed.into_iter().filter(|name| find(&plain(name)).is_none()).collect();
    if !missing.is_empty() {
        let sentence = format!("the first line has no column {}", missing.join(", "));
        let finding = Finding {
            severity: rows.severity,
            ..Finding::error(Code::BadWiringHeader, rows.line(start), sentence)
        };
        let near = model::finding::nearest(&plain(missing[0]), names.iter().map(String::as_str));
        report.push(match near {
            Some(near) => finding.help(format!("did you mean `{}` by `{near}`?", missing[0])),
            None => finding,
        });
        return None;
    }
    let mut repeated =
        needed.iter().filter(|name| names.iter().filter(|found| **found == plain(name)).count() > 1);
    if let Some(name) = repeated.next() {
        let sentence = format!("the first line has column {name} twice");
        report.push(Finding::error(Code::BadWiringHeader, rows.line(start), sentence));
        return None;
    }
    Some(Columns {
        start_device: find("startdevice")?,
        start_port: find("startport")?,
        end_device: find("enddevice")?,
        end_port: find("endport")?,
        bandwidth: find("bandwidth"),
        vlan: find("vlanid"),
    })
}

struct Rows<'f> {
    file: u16,
    text: &'f str,
    severity: Severity,
    /// Cables between two ports of one device are meant.
    loops: bool,
}

impl Rows<'_> {
    /// The line that holds byte `start`; blank lines before a row are passed over.
    fn line(&self, start: usize) -> Source {
        let mut start = start.min(self.text.len());
        while matches!(self.text.as_bytes().get(start), Some(b'\n' | b'\r')) {
            start += 1;
        }
        let end = self.text[start..].find(['\n', '\r']).map_or(self.text.len(), |length| start + length);
        // Files are bounded far below 4 GiB.
        Source { file: self.file, start: start as u32, end: end as u32 }
    }

    /// Where a field is written; its line, if it cannot be told.
    fn field(&self, line: Source, record: &csv::StringRecord, column: usize) -> Source {
        let text = &self.text[line.start as usize..line.end as usize];
        let mut from = 0;
        for (index, field) in record.iter().enumerate() {
            let Some(found) = text[from..].find(field) else { return line };
            if index == column && !field.is_empty() {
                let start = line.start + (from + found) as u32;
                return Source { start, end: start + field.len() as u32, ..line };
            }
            let after = from + found + field.len();
            from = text[after..].find(',').map_or(text.len(), |comma| after + comma + 1);
        }
        line
    }

    fn row(
        &mut self,
        report: &mut Report,
        start: usize,
        record: &csv::StringRecord,
        columns: &Columns,
        sockets: &mut Sockets<'_>,
    ) {
        if record.iter().all(str::is_empty) {
            return;
        }
        let line = self.line(start);
        let needed = [
            ("StartDevice", columns.start_device),
            ("StartPort", columns.start_port),
            ("EndDevice", columns.end_device),
            ("EndPort", columns.end_port),
        ];
        let missing: Vec<&str> = needed
            .iter()
            .filter(|(_, column)| record.get(*column).is_none_or(str::is_empty))
            .map(|(name, _)| *name)
            .collect();
        if !missing.is_empty() {
            let sentence = format!("this line has no {}", missing.join(", "));
            report.push(self.finding(Finding::error(Code::BadWiringRow, line, sentence)));
            return;
        }
        let ends = [(columns.start_device, columns.start_port), (columns.end_device, columns.end_port)];
        let ends = ends.map(|(device, port)| self.end(report, line, record, device, port, sockets));
        let [Some(a), Some(b)] = ends else { return };
        let bandwidth = columns.bandwidth.and_then(|column| Some((column, record.get(column)?)));
        let mbps = match bandwidth.filter(|(_, text)| !text.is_empty()) {
            None => None,
            Some((column, text)) => match text.parse::<u32>() {
                Ok(mbps) => Some(mbps),
                Err(_) => {
                    let place = self.field(line, record, column);
                    let sentence = format!("`{text}` is not a bandwidth in Mbit/s");
                    report.push(self.finding(Finding::error(Code::BadWiringRow, place, sentence)));
                    return;
                }
            },
        };
        let vlans = columns.vlan.and_then(|column| record.get(column)).filter(|text| !text.is_empty());
        let cable = Cable { a, b, mbps, vlans: vlans.map(str::to_string), source: line };
        sockets.join(report, cable, self.severity, self.loops);
    }

    fn end(
        &self,
        report: &mut Report,
        line: Source,
        record: &csv::StringRecord,
        device_column: usize,
        port_column: usize,
        sockets: &mut Sockets<'_>,
    ) -> Option<model::design::PortRef> {
        let (device, port) = (record.get(device_column)?, record.get(port_column)?);
        let Some(id) = sockets.device(device) else {
            let place = self.field(line, record, device_column);
            report.push(self.finding(sockets.unknown_device(place, device)));
            return None;
        };
        let place = self.field(line, record, port_column);
        let mut findings = Report::default();
        let end = sockets.port(&mut findings, place, id, port);
        for finding in findings.into_findings() {
            report.push(self.finding(finding));
        }
        end
    }

    /// A finding about a row, as grave as the block asks.
    fn finding(&self, finding: Finding) -> Finding {
        match self.severity {
            Severity::Error => finding,
            Severity::Warning => {
                Finding { severity: Severity::Warning, ..finding }.label("this line is left out")
            }
        }
    }
}
