//! `gantryd snapshots`: makes, lists, restores and passes on state-sync snapshots while the node is stopped.

use std::{
    fs::File,
    io::{BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use gantry_store::{
    Store,
    sync::{Archive, FORMAT, Info, Metadata, SyncError},
};

use super::{client::Client, output};
use crate::{
    modules,
    node::{config::AppConfig, home::Home, pruning},
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the snapshots that are here
    List,
    /// Make a snapshot of the state
    Export {
        /// Height of the state, within what is kept (0: the last)
        #[arg(long, default_value_t = 0)]
        height: u64,
    },
    /// Make the application's state of a snapshot that is here; there must be no state yet
    Restore {
        height: u64,
        #[arg(default_value_t = FORMAT)]
        format: u32,
        /// The app hash that the state must have, from somebody you trust
        #[arg(long, value_name = "HEX")]
        app_hash: Option<String>,
    },
    /// Delete a snapshot
    Delete {
        height: u64,
        #[arg(default_value_t = FORMAT)]
        format: u32,
    },
    /// Write a snapshot into one file
    Dump {
        height: u64,
        #[arg(default_value_t = FORMAT)]
        format: u32,
        /// The file (default: HEIGHT-FORMAT.snapshot)
        #[arg(long, value_name = "FILE")]
        output_document: Option<PathBuf>,
    },
    /// Take in a snapshot from a file that `dump` wrote
    Load { file: PathBuf },
}

pub(super) fn run(client: &Client, command: Command) -> Result<()> {
    let home = &client.home;
    home.create()?;
    let _lock = home.lock(Duration::ZERO).context("stop the node first")?;
    let archive = Archive::open(&home.snapshots())?;
    match command {
        Command::List => {
            for info in archive.list() {
                output::line(&format!("height: {} format: {} chunks: {}", info.height, info.format, info.chunks))?;
            }
            Ok(())
        }
        Command::Export { height } => {
            ensure!(home.database().is_dir(), "there is no state in this home yet");
            let store = open(home)?;
            let height = if height == 0 { store.height() } else { height };
            ensure!(height > 0, "there is no state in this home yet");
            let info = archive.make(&store.source_at(height)?, &|| true)?;
            output::line(&format!("Snapshot created at height {height}, format {FORMAT}, chunks {}", info.chunks))
        }
        Command::Restore { height, format, app_hash } => {
            let info = archive.find(height, format).ok_or(SyncError::NotFound { height, format })?;
            let has = Metadata::read(&info.metadata)?.app_hash();
            if let Some(wanted) = app_hash {
                let wanted = hex::decode(wanted.trim_start_matches("0x")).context("--app-hash is hexadecimal")?;
                ensure!(wanted == has, "the snapshot has app hash {}", hex::encode_upper(has));
            }
            archive.restore(&open(home)?, height, format)?;
            output::line(&format!("Restored height {height} with app hash {}", hex::encode_upper(has)))
        }
        Command::Delete { height, format } => {
            ensure!(archive.delete(height, format)?, SyncError::NotFound { height, format });
            Ok(())
        }
        Command::Dump { height, format, output_document } => {
            let path = output_document.unwrap_or_else(|| format!("{height}-{format}.snapshot").into());
            dump(&archive, height, format, &path)
        }
        Command::Load { file } => {
            let info = load(&archive, &file)?;
            output::line(&format!("Snapshot of height {} taken in, format {}", info.height, info.format))
        }
    }
}

fn open(home: &Home) -> Result<Store> {
    let options = pruning::store_options(&pruning::Flags::default(), &AppConfig::load(home)?)?;
    Ok(Store::open(&home.database(), &modules::definition().stores(), options)?)
}

/// Metadata and chunks, each after its length (4 bytes, big endian).
fn dump(archive: &Archive, height: u64, format: u32, path: &Path) -> Result<()> {
    let info = archive.find(height, format).ok_or(SyncError::NotFound { height, format })?;
    let writing = || format!("writing {}", path.display());
    let mut file = BufWriter::new(File::create_new(path).with_context(writing)?);
    let mut put = |bytes: &[u8]| -> Result<()> {
        file.write_all(&u32::try_from(bytes.len())?.to_be_bytes())?;
        Ok(file.write_all(bytes)?)
    };
    put(&info.metadata).with_context(writing)?;
    for index in 0..info.chunks {
        let chunk = archive.chunk(height, format, index)?.ok_or(SyncError::NotFound { height, format })?;
        put(&chunk).with_context(writing)?;
    }
    file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all().with_context(writing)
}

fn load(archive: &Archive, path: &Path) -> Result<Info> {
    let failed = |error: std::io::Error| SyncError::File(format!("{}: {error}", path.display()));
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
    let mut part = || {
        let mut length = [0; 4];
        file.read_exact(&mut length).map_err(failed)?;
        let length = u32::from_be_bytes(length);
        let mut bytes = Vec::new();
        // A length that is a lie costs no more than the file has.
        let read = file.by_ref().take(length.into()).read_to_end(&mut bytes).map_err(failed)?;
        if read as u64 == u64::from(length) {
            Ok(bytes)
        } else {
            Err(SyncError::File(format!("{}: torn", path.display())))
        }
    };
    let metadata = part()?;
    Ok(archive.take_in(&metadata, &mut |_| part())?)
}
