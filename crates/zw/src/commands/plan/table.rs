//! Columns of text, as wide as they need to be, the last one ragged.

/// A table that grows row by row.
#[derive(Debug)]
pub(super) struct Columns<const N: usize> {
    header: [&'static str; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Columns<N> {
    /// An empty table.
    pub(super) fn new(header: [&'static str; N]) -> Self {
        Self { header, rows: Vec::new() }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, row: [String; N]) {
        self.rows.push(row);
    }

    /// The header and at most `max` rows, and how many more there are. Columns are as wide as what is shown.
    pub(super) fn push_to(&self, out: &mut String, max: usize) {
        let shown = &self.rows[..self.rows.len().min(max)];
        let width = |column: usize| {
            let cells = shown.iter().map(|row| row[column].chars().count());
            cells.chain([self.header[column].len()]).max().unwrap_or(0)
        };
        let widths: [usize; N] = std::array::from_fn(width);
        let bold = anstyle::Style::new().bold();
        out.push_str(&format!("{bold}"));
        push_line(out, self.header, &widths);
        out.pop();
        out.push_str(&format!("{bold:#}\n"));
        for row in shown {
            push_line(out, row.each_ref().map(String::as_str), &widths);
        }
        if self.rows.len() > max {
            out.push_str(&format!("… and {} more\n", self.rows.len() - max));
        }
    }
}

fn push_line<const N: usize>(out: &mut String, cells: [&str; N], widths: &[usize; N]) {
    for (column, cell) in cells.iter().enumerate() {
        out.push_str(cell);
        if column + 1 < N {
            out.extend(std::iter::repeat_n(' ', widths[column] - cell.chars().count() + 2));
        }
    }
    out.truncate(out.trim_end_matches(' ').len());
    out.push('\n');
}
