//! What is refused before a module costs anything to compile.

use super::NoResult;
use wasmparser::{Parser, Payload};

/// Largest module in bytes.
pub(super) const MODULE_BYTES: u64 = 64 << 20;
/// Most functions with a body.
const FUNCTIONS: u32 = 100_000;
/// Largest body in bytes: the compiler's time grows faster than its input.
const BODY_BYTES: usize = 4 << 20;
/// Most entries in each of the other sections.
const ENTRIES: u32 = 100_000;
/// Most tables, and most memories.
const SPACES: u32 = 8;

/// Refuses modules that would be costly to compile or instantiate. The compiler validates everything else.
pub(super) fn check(module: &[u8]) -> Result<(), NoResult> {
    let bad = |e: wasmparser::BinaryReaderError| NoResult::InvalidModule(e.to_string());
    for payload in Parser::new(0).parse_all(module) {
        match payload.map_err(bad)? {
            Payload::CodeSectionStart { count, .. } => most("functions", count, FUNCTIONS)?,
            Payload::CodeSectionEntry(body) if body.range().len() > BODY_BYTES => {
                return Err(NoResult::InvalidModule(format!("a function of more than {BODY_BYTES} bytes")));
            }
            Payload::TypeSection(s) => most("types", s.count(), ENTRIES)?,
            Payload::ImportSection(s) => most("imports", s.count(), ENTRIES)?,
            Payload::TableSection(s) => most("tables", s.count(), SPACES)?,
            Payload::MemorySection(s) => most("memories", s.count(), SPACES)?,
            Payload::GlobalSection(s) => most("globals", s.count(), ENTRIES)?,
            Payload::ExportSection(s) => most("exports", s.count(), ENTRIES)?,
            Payload::ElementSection(s) => most("element segments", s.count(), ENTRIES)?,
            Payload::DataSection(s) => most("data segments", s.count(), ENTRIES)?,
            _ => {}
        }
    }
    Ok(())
}

fn most(what: &str, count: u32, limit: u32) -> Result<(), NoResult> {
    if count > limit {
        return Err(NoResult::InvalidModule(format!("{count} {what}, of at most {limit}")));
    }
    Ok(())
}
