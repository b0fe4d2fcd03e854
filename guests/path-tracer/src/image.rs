//! Tiles as files, and the way from a full set of tiles to a picture.
//!
//! A picture of n tiles deals its rows out in turn: tile i has the rows i, i + n, i + 2n, ..., so that tiles cost alike.
//! A tile file is a header of 44 bytes (`GTILE1\0\0`, then little-endian u32: width, height, samples, row count; u64 seed;
//! u32 tile index, tile count, and the byte length of a pixel) followed by its rows of [`Pixel`]s.

use crate::math::{v, Vec3};
use crate::trace::{albedo_of, Pixel, Settings, Tracer};

const MAGIC: &[u8; 8] = b"GTILE1\0\0";
const HEADER: usize = 44;
const PIXEL: usize = 22;

/// The rows of a picture that one job renders.
pub struct Tile {
    pub settings: Settings,
    pub index: u32,
    pub count: u32,
    /// From the top, each from the left.
    pub pixels: Vec<Pixel>,
}

/// The rows of a tile.
pub fn rows_of(height: usize, index: u32, count: u32) -> impl ExactSizeIterator<Item = usize> {
    (index as usize..height).step_by(count as usize)
}

/// Renders one tile; `progress` is told each finished row and the number of rows.
pub fn render(settings: Settings, index: u32, count: u32, mut progress: impl FnMut(usize, usize)) -> Tile {
    let tracer = Tracer::new(settings);
    let rows = rows_of(settings.height, index, count);
    let total = rows.len();
    let mut pixels = Vec::with_capacity(total * settings.width);
    for (done, y) in rows.enumerate() {
        pixels.extend((0..settings.width).map(|x| tracer.pixel(x, y)));
        progress(done + 1, total);
    }
    Tile { settings, index, count, pixels }
}

impl Tile {
    /// The bytes of the tile file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let s = &self.settings;
        let mut out = Vec::with_capacity(HEADER + self.pixels.len() * PIXEL);
        out.extend_from_slice(MAGIC);
        let row_count = rows_of(s.height, self.index, self.count).len();
        for n in [s.width as u32, s.height as u32, s.samples, row_count as u32] {
            out.extend_from_slice(&n.to_le_bytes());
        }
        out.extend_from_slice(&s.seed.to_le_bytes());
        for n in [self.index, self.count, PIXEL as u32] {
            out.extend_from_slice(&n.to_le_bytes());
        }
        for p in &self.pixels {
            for c in p.light {
                out.extend_from_slice(&c.to_le_bytes());
            }
            out.extend_from_slice(&p.variance.to_le_bytes());
            out.extend_from_slice(&p.albedo);
            out.extend(p.normal.iter().map(|&c| c as u8));
        }
        out
    }

    /// Reads a tile file.
    ///
    /// # Errors
    /// Text that says what is wrong with the file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Tile, String> {
        if bytes.len() < HEADER || &bytes[..8] != MAGIC {
            return Err("not a tile file".into());
        }
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let settings = Settings {
            width: word(8) as usize,
            height: word(12) as usize,
            samples: word(16),
            seed: u64::from(word(24)) | u64::from(word(28)) << 32,
        };
        let (index, count) = (word(32), word(36));
        crate::check(&settings, index, count)?;
        let rows = rows_of(settings.height, index, count).len();
        if word(20) as usize != rows || word(40) as usize != PIXEL {
            return Err("a tile whose rows are not those of its index".into());
        }
        if bytes.len() != HEADER + rows * settings.width * PIXEL {
            return Err("a tile that is cut short or too long".into());
        }
        let float = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        let pixels = bytes[HEADER..]
            .chunks_exact(PIXEL)
            .map(|b| Pixel {
                light: [float(b), float(&b[4..]), float(&b[8..])],
                variance: float(&b[12..]),
                albedo: [b[16], b[17], b[18]],
                normal: [b[19] as i8, b[20] as i8, b[21] as i8],
            })
            .collect();
        Ok(Tile { settings, index, count, pixels })
    }
}

/// Joins a full set of tiles, filters the noise, and gives the PNG file.
///
/// # Errors
/// Tiles of different pictures, missing or doubled tiles.
pub fn merge(mut tiles: Vec<Tile>) -> Result<Vec<u8>, String> {
    tiles.sort_by_key(|t| t.index);
    let (settings, count) = match tiles.first() {
        Some(t) => (t.settings, t.count),
        None => return Err("no tiles".into()),
    };
    if tiles.len() != count as usize {
        return Err(format!("{} tiles of {}", tiles.len(), count));
    }
    for (i, tile) in tiles.iter().enumerate() {
        if tile.settings != settings || tile.count != count || tile.index as usize != i {
            return Err(format!("tile {} is missing or of another picture", i));
        }
    }
    // Row y is the next one of tile y modulo the number of tiles.
    let mut rows: Vec<_> = tiles.iter().map(|t| t.pixels.chunks_exact(settings.width)).collect();
    let pixels: Vec<Pixel> =
        (0..settings.height).filter_map(|y| rows[y % count as usize].next()).flatten().copied().collect();
    let light = smooth_noise(settings.width, settings.height, &pixels);
    let mut rgb = Vec::with_capacity(pixels.len() * 3);
    for (i, (pixel, light)) in pixels.iter().zip(&light).enumerate() {
        let colour = develop(light.filter(albedo_of(pixel.albedo)));
        // Half a step of ordered dither hides the bands of the sky.
        let dither = DITHER[i / settings.width % 4][i % settings.width % 4] / 16.0;
        rgb.extend([colour.x, colour.y, colour.z].map(|c| (c * 254.5 + dither) as u8));
    }
    Ok(crate::png::encode(settings.width, settings.height, &rgb))
}

const DITHER: [[f64; 4]; 4] =
    [[0.5, 8.5, 2.5, 10.5], [12.5, 4.5, 14.5, 6.5], [3.5, 11.5, 1.5, 9.5], [15.5, 7.5, 13.5, 5.5]];

/// An edge-avoiding a-trous wavelet filter (Dammertz 2010) with the variance guide of SVGF (Schied 2017).
fn smooth_noise(width: usize, height: usize, pixels: &[Pixel]) -> Vec<Vec3> {
    let mut light: Vec<Vec3> =
        pixels.iter().map(|p| v(f64::from(p.light[0]), f64::from(p.light[1]), f64::from(p.light[2]))).collect();
    let mut variance: Vec<f64> = pixels.iter().map(|p| f64::from(p.variance)).collect();
    let normals: Vec<Vec3> = pixels
        .iter()
        .map(|p| v(f64::from(p.normal[0]), f64::from(p.normal[1]), f64::from(p.normal[2])) / 127.0)
        .collect();
    let albedos: Vec<Vec3> = pixels.iter().map(|p| albedo_of(p.albedo)).collect();
    const KERNEL: [f64; 3] = [0.375, 0.25, 0.0625];
    for level in 0..4 {
        let step = 1i64 << level;
        let spread = blur(width, height, &variance);
        let mut next_light = Vec::with_capacity(light.len());
        let mut next_variance = Vec::with_capacity(light.len());
        for i in 0..light.len() {
            let (x, y) = ((i % width) as i64, (i / width) as i64);
            let here = light[i].luminance();
            let limit = 1.0 / (3.0 * spread[i] + 1e-5 + 4e-5 * here * here);
            let (mut sum, mut sum_variance, mut total) = (Vec3::ZERO, 0.0, 0.0);
            for dy in -2..=2i64 {
                for dx in -2..=2i64 {
                    let (nx, ny) = (x + dx * step, y + dy * step);
                    if nx < 0 || ny < 0 || nx >= width as i64 || ny >= height as i64 {
                        continue;
                    }
                    let j = (ny * width as i64 + nx) as usize;
                    let mut w = KERNEL[dx.unsigned_abs() as usize] * KERNEL[dy.unsigned_abs() as usize];
                    if j != i {
                        let turn = normals[i] - normals[j];
                        let tone = albedos[i] - albedos[j];
                        let gap = here - light[j].luminance();
                        let miss = turn.dot(turn) * 40.0 + tone.dot(tone) * 30.0 + gap * gap * limit;
                        // A rational stand-in for exp(-miss).
                        let q = 1.0 / (1.0 + miss * 0.25);
                        w *= q * q * q * q;
                    }
                    sum += light[j] * w;
                    sum_variance += variance[j] * w * w;
                    total += w;
                }
            }
            next_light.push(sum / total);
            next_variance.push(sum_variance / (total * total));
        }
        light = next_light;
        variance = next_variance;
    }
    light
}

/// A 3 by 3 box mean.
fn blur(width: usize, height: usize, values: &[f64]) -> Vec<f64> {
    let mut out = Vec::with_capacity(values.len());
    for y in 0..height {
        for x in 0..width {
            let (mut sum, mut n) = (0.0, 0.0);
            for ny in y.saturating_sub(1)..(y + 2).min(height) {
                for nx in x.saturating_sub(1)..(x + 2).min(width) {
                    sum += values[ny * width + nx];
                    n += 1.0;
                }
            }
            out.push(sum / n);
        }
    }
    out
}

/// From radiance to the 0..1 of a screen: exposure, a filmic shoulder, and the sRGB curve.
fn develop(light: Vec3) -> Vec3 {
    let film = |x: f64| {
        let x = (x * 0.64).max(0.0);
        (x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14)).min(1.0)
    };
    let screen = |x: f64| {
        // The sRGB curve by roots alone (Kawase's fit), within a thousandth.
        let a = x.sqrt();
        let b = a.sqrt();
        let c = b.sqrt();
        (0.585122381 * a + 0.783140355 * b - 0.368262736 * c).clamp(0.0, 1.0)
    };
    v(screen(film(light.x)), screen(film(light.y)), screen(film(light.z)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Settings = Settings { width: 48, height: 31, samples: 2, seed: 5 };

    fn picture(count: u32) -> Vec<u8> {
        let tiles = (0..count).rev().map(|i| Tile::from_bytes(&render(SMALL, i, count, |_, _| ()).to_bytes()).unwrap());
        merge(tiles.collect()).unwrap()
    }

    #[test]
    fn the_picture_does_not_depend_on_how_it_is_cut() {
        let whole = picture(1);
        assert_eq!(whole, picture(8));
        assert_eq!(whole, picture(31));
    }

    #[test]
    fn every_setting_changes_the_tile() {
        let bytes = |s: Settings| render(s, 0, 2, |_, _| ()).to_bytes()[HEADER..].to_vec();
        let base = bytes(SMALL);
        assert_eq!(base, bytes(SMALL));
        assert_ne!(base, bytes(Settings { seed: 6, ..SMALL }));
        assert_ne!(base, bytes(Settings { samples: 3, ..SMALL }));
    }

    #[test]
    fn bad_tiles_are_refused() {
        let good = render(SMALL, 1, 3, |_, _| ()).to_bytes();
        assert!(Tile::from_bytes(&good).is_ok());
        assert!(Tile::from_bytes(&good[..good.len() - 1]).is_err());
        assert!(Tile::from_bytes(b"GTILE1\0\0").is_err());
        for at in [0, 8, 12, 20, 32, 36, 40] {
            let mut bad = good.clone();
            bad[at] ^= 0x81;
            assert!(Tile::from_bytes(&bad).is_err(), "byte {at}");
        }
    }

    #[test]
    fn an_incomplete_set_of_tiles_is_refused() {
        let tile = |i| render(SMALL, i, 3, |_, _| ());
        assert!(merge(Vec::new()).is_err());
        assert!(merge(vec![tile(0), tile(2)]).is_err());
        assert!(merge(vec![tile(0), tile(1), tile(1)]).is_err());
        let other = render(Settings { seed: 6, ..SMALL }, 2, 3, |_, _| ());
        assert!(merge(vec![tile(0), tile(1), other]).is_err());
        assert!(merge(vec![tile(2), tile(0), tile(1)]).is_ok());
    }
}
