//! The demo's guest: a deterministic path tracer that renders a picture tile by tile. See README.md.

pub mod image;
pub mod math;
pub mod png;
pub mod scene;
pub mod trace;

use trace::Settings;

/// Refuses pictures and tiles that make no sense or would not fit in memory.
///
/// # Errors
/// Text for the user.
pub fn check(settings: &Settings, index: u32, count: u32) -> Result<(), String> {
    let Settings { width, height, samples, .. } = *settings;
    if !(1..=8192).contains(&width) || !(1..=8192).contains(&height) || !(1..=65536).contains(&samples) {
        return Err("width and height must be 1 to 8192, samples 1 to 65536".into());
    }
    if index >= count || count as usize > height {
        return Err("the tile must be below the number of tiles, and no tile may be empty".into());
    }
    Ok(())
}

/// The picture rendered in one process, by the code that the tiles use.
pub fn whole(settings: Settings) -> Result<Vec<u8>, String> {
    check(&settings, 0, 1)?;
    image::merge(vec![image::render(settings, 0, 1, |_, _| ())])
}
