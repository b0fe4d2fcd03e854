//! Command line of the path tracer; the same as a WASI command and as a native program.

use path_tracer::image::{merge, render, Tile};
use path_tracer::trace::Settings;
use path_tracer::{check, whole};
use std::fs;
use std::path::{Path, PathBuf};

const USAGE: &str = "\
usage: path-tracer tile   tile=I [tiles=8] [setting...] [out=/out]    render one tile to OUT/tile-I.gtile
       path-tracer merge  [in=/in] [out=/out]                         join all *.gtile files below IN to OUT/picture.png
       path-tracer render [setting...] [out=.]                        the whole picture in one process, to OUT/picture.png
settings: width=640 height=400 samples=24 seed=1, or scene=FILE with one setting per line";

struct Args {
    settings: Settings,
    tile: Option<u32>,
    tiles: u32,
    from: PathBuf,
    out: Option<PathBuf>,
}

fn parse(words: &[String]) -> Result<Args, String> {
    let mut args = Args {
        settings: Settings { width: 640, height: 400, samples: 24, seed: 1 },
        tile: None,
        tiles: 8,
        from: "/in".into(),
        out: None,
    };
    for word in words {
        let (name, value) = word.split_once('=').ok_or_else(|| format!("not NAME=VALUE: {}", word))?;
        if name == "scene" {
            let text = fs::read_to_string(value).map_err(|e| format!("{}: {}", value, e))?;
            for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
                let (name, value) = line.split_once('=').ok_or_else(|| format!("not NAME=VALUE: {}", line))?;
                set(&mut args, name.trim(), value.trim())?;
            }
        } else {
            set(&mut args, name, value)?;
        }
    }
    Ok(args)
}

fn set(args: &mut Args, name: &str, value: &str) -> Result<(), String> {
    let number = || value.parse::<u32>().map_err(|e| format!("{}={}: {}", name, value, e));
    match name {
        "width" => args.settings.width = number()? as usize,
        "height" => args.settings.height = number()? as usize,
        "samples" => args.settings.samples = number()?,
        "seed" => args.settings.seed = value.parse().map_err(|e| format!("{}={}: {}", name, value, e))?,
        "tile" => args.tile = Some(number()?),
        "tiles" => args.tiles = number()?,
        "in" => args.from = value.into(),
        "out" => args.out = Some(value.into()),
        _ => return Err(format!("unknown setting: {}", name)),
    }
    Ok(())
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), String> {
    let path = folder.join(name);
    fs::write(&path, bytes).map_err(|e| format!("{}: {}", path.display(), e))?;
    println!("wrote {} ({} bytes)", path.display(), bytes.len());
    Ok(())
}

/// All tile files below a folder, whatever folders the jobs that made them were given.
fn find(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {}", folder.display(), e))?;
    for entry in entries {
        let path = entry.map_err(|e| e.to_string())?.path();
        if path.is_dir() {
            find(&path, found)?;
        } else if path.extension().map_or(false, |e| e == "gtile") {
            found.push(path);
        }
    }
    Ok(())
}

fn tile(args: &Args) -> Result<(), String> {
    let index = args.tile.ok_or("tile=I is missing")?;
    check(&args.settings, index, args.tiles)?;
    let tile = render(args.settings, index, args.tiles, |row, rows| {
        if row * 10 / rows > (row - 1) * 10 / rows {
            println!("tile {} of {}: row {} of {}, {} %", index, args.tiles, row, rows, row * 100 / rows);
        }
    });
    let folder = args.out.clone().unwrap_or_else(|| "/out".into());
    write(&folder, &format!("tile-{:03}.gtile", index), &tile.to_bytes())
}

fn join(args: &Args) -> Result<(), String> {
    let mut found = Vec::new();
    find(&args.from, &mut found)?;
    found.sort();
    let mut tiles = Vec::new();
    for path in &found {
        let bytes = fs::read(path).map_err(|e| format!("{}: {}", path.display(), e))?;
        tiles.push(Tile::from_bytes(&bytes).map_err(|e| format!("{}: {}", path.display(), e))?);
    }
    println!("merging {} tiles", tiles.len());
    let folder = args.out.clone().unwrap_or_else(|| "/out".into());
    write(&folder, "picture.png", &merge(tiles)?)
}

fn run() -> Result<(), String> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (mode, rest) = words.split_first().ok_or(USAGE)?;
    let args = parse(rest)?;
    match mode.as_str() {
        "tile" => tile(&args),
        "merge" => join(&args),
        "render" => write(&args.out.clone().unwrap_or_else(|| ".".into()), "picture.png", &whole(args.settings)?),
        _ => Err(USAGE.into()),
    }
}

fn main() {
    if let Err(text) = run() {
        eprintln!("{}", text);
        std::process::exit(1);
    }
}
