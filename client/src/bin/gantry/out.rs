//! Text on stdout, and the progress of transfers on stderr.

use std::io::{self, ErrorKind, Write};

use anyhow::Result;
use cosmos_sdk_proto::cosmos::base::v1beta1::Coin;
use gantry_content::Progress;
use indicatif::{ProgressBar, ProgressStyle};

/// Writes bytes; a reader that went away is no error.
pub(crate) fn bytes(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        // `gantry logs | head`: the rest is not wanted.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        other => other,
    }
}

/// Writes a line.
pub(crate) fn line(text: &str) -> Result<()> {
    Ok(bytes(format!("{text}\n").as_bytes())?)
}

/// Rows under headings, each column as wide as its widest cell; the last one is not padded. Headings that begin with
/// `>` are of columns to be aligned to the right.
pub(crate) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let right = headings.map(|h| h.starts_with('>'));
    let headings = headings.map(|h| h.trim_start_matches('>').to_owned());
    let all = || std::iter::once(&headings).chain(rows);
    let mut widths = [0; N];
    for row in all() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in all() {
        let mut line = String::new();
        for (at, cell) in row.iter().enumerate() {
            let gap = " ".repeat(widths[at].saturating_sub(cell.chars().count()));
            let (before, after) = if right[at] { (gap.as_str(), "") } else { ("", gap.as_str()) };
            line.push_str(&format!("{}{before}{cell}{after}", if at == 0 { "" } else { "  " }));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `12ugantry`; `-` where there is none.
pub(crate) fn coin(coin: Option<&Coin>) -> String {
    coin.map_or_else(|| "-".to_owned(), |c| format!("{}{}", c.amount, c.denom))
}

/// `3atom,12ugantry`; `0` where there are none.
pub(crate) fn coins(coins: &[Coin]) -> String {
    if coins.is_empty() {
        return "0".to_owned();
    }
    coins.iter().map(|c| coin(Some(c))).collect::<Vec<_>>().join(",")
}

/// Milliseconds of market time as `12.3 s` or `4:05 min`.
pub(crate) fn duration(ms: u64) -> String {
    if ms < 100_000 {
        format!("{}.{} s", ms / 1000, ms % 1000 / 100)
    } else {
        format!("{}:{:02} min", ms / 60_000, ms / 1000 % 60)
    }
}

/// Bytes as people read them: `17 B`, `1.5 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut shown = format!("{bytes} B");
    let mut scale = 1024u64;
    for unit in units {
        if bytes < scale {
            break;
        }
        shown = format!("{}.{} {unit}", bytes / scale, (bytes % scale).saturating_mul(10) / scale);
        scale = scale.saturating_mul(1024);
    }
    shown
}

/// Text of strangers without what a terminal would obey.
pub(crate) fn plain(text: &str) -> String {
    // Marks that turn the direction of writing make one name look like another.
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns(c) { '\u{fffd}' } else { c }).collect()
}

/// Bytes of a program's log without what a terminal would obey: of control characters, line ends and tabs are left.
/// Workers are strangers, and what they send need not be what the program wrote. `last` is the byte before the piece.
pub(crate) fn tame(piece: &[u8], last: &mut u8) -> Vec<u8> {
    let tame = |&byte: &u8| {
        // In UTF-8, C1 controls are 0xc2 and one of these.
        let c1 = *last == 0xc2 && (0x80..0xa0).contains(&byte);
        *last = byte;
        if c1 || byte.is_ascii_control() && !b"\n\r\t".contains(&byte) { b'?' } else { byte }
    };
    piece.iter().map(tame).collect()
}

/// Says something on stderr, in which strangers may have a word: a worker's reason, a moniker.
pub(crate) fn note(text: &str) {
    let lines: Vec<_> = text.split('\n').map(plain).collect();
    eprintln!("{}", lines.join("\n"));
}

/// A bar on stderr for a transfer of bytes; nothing where stderr is no terminal.
pub(crate) fn transfer_bar(what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bytes} of {total_bytes} ({bytes_per_sec})")
        .expect("the template is part of the program");
    ProgressBar::new(0).with_style(style).with_message(what.to_owned())
}

/// Moves a bar to where a transfer is.
pub(crate) fn advance(bar: &ProgressBar, progress: &Progress) {
    let done = progress.bytes.saturating_add(progress.bytes_present);
    bar.set_length(progress.bytes_declared.unwrap_or(done).max(done));
    bar.set_position(done);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned() {
        let rows = [["a".into(), "10".into(), "first".into()], ["long".into(), "5".into(), String::new()]];
        assert_eq!(table(["name", ">n", "note"], &rows), "name   n  note\na     10  first\nlong   5\n");
    }

    #[test]
    fn sizes_and_times_read_well() {
        assert_eq!([size(0), size(1023), size(1536), size(5 << 30)], ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]);
        assert_eq!([duration(0), duration(12_345), duration(125_000)], ["0.0 s", "12.3 s", "2:05 min"]);
        assert_eq!(plain("a\x1b[31mb"), "a\u{fffd}[31mb");
        assert_eq!(plain("\u{202e}gpj.exe"), "\u{fffd}gpj.exe");
    }

    #[test]
    fn a_log_on_a_terminal_is_text_alone() {
        let mut last = 0;
        assert_eq!(tame(b"\x1b]0;title\x07 a\tb\r\n\x7f", &mut last), b"?]0;title? a\tb\r\n?");
        assert_eq!(tame("grün ✓".as_bytes(), &mut last), "grün ✓".as_bytes());
        // A control character of two bytes, also where a piece ends within it.
        assert_eq!(tame(b"\xc2\x9b1m\xc2", &mut last), b"\xc2?1m\xc2");
        assert_eq!(tame(b"\x9b1m", &mut last), b"?1m");
    }
}
