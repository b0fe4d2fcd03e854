use anyhow::{Result, bail};
use clap::Subcommand;
use gantry_keyring::{HdPath, KeyInfo, Mnemonic};
use serde_json::{Value, json};

use crate::{context::Context, out, prompt};

/// Make, list and delete keys.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Make a new key; its words are shown once.
    #[command(after_help = "Example: gantry keys add renter")]
    Add {
        /// Name of the key.
        name: String,
        #[command(flatten)]
        path: Path,
    },
    /// Bring a key back from its words, asked for on the terminal or read from stdin.
    #[command(after_help = "Example: gantry keys recover renter < words.txt")]
    Recover {
        /// Name of the key.
        name: String,
        #[command(flatten)]
        path: Path,
    },
    /// List all keys.
    #[command(after_help = "Example: gantry keys list")]
    List,
    /// Show a key.
    #[command(after_help = "Example: gantry keys show renter --address")]
    Show {
        /// Name or address of the key.
        name: String,
        /// The address alone.
        #[arg(long, short)]
        address: bool,
    },
    /// Delete a key for good.
    #[command(after_help = "Example: gantry keys delete renter")]
    Delete {
        /// Name or address of the key.
        name: String,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
}

/// Where below the words a key lies.
#[derive(clap::Args, Debug)]
struct Path {
    /// BIP-44 account.
    #[arg(long, default_value_t = 0)]
    account: u32,
    /// BIP-44 address index.
    #[arg(long, default_value_t = 0)]
    index: u32,
}

impl From<Path> for HdPath {
    fn from(path: Path) -> Self {
        Self { account: path.account, index: path.index, ..Self::default() }
    }
}

pub(crate) fn run(context: &Context, args: Args) -> Result<()> {
    let keyring = context.keyring();
    match args.command {
        Command::Add { name, path } => {
            let key = keyring.create(&name, path.into())?;
            show(context, &key)?;
            if let (false, Some(words)) = (context.json(), &key.mnemonic) {
                eprintln!("\nWrite these words down: they are the only way to bring the key back.\n\n{words}");
            }
            Ok(())
        }
        Command::Recover { name, path } => {
            let words = Mnemonic::parse(&prompt::secret("Words of the key:")?)?;
            show(context, &keyring.recover(&name, &words, path.into(), "")?)
        }
        Command::List => {
            let keys = keyring.list()?;
            let rows: Vec<_> = keys.iter().map(|key| [key.name.clone(), key.address.clone()]).collect();
            let text = || {
                if rows.is_empty() {
                    eprintln!("no keys in {}", context.settings.keyring_dir.display());
                }
                out::table(["NAME", "ADDRESS"], &rows)
            };
            context.print(|| Ok(serde_json::to_value(&keys)?), text)
        }
        Command::Show { name, address } => {
            let key = keyring.show(&name)?;
            if address { out::line(&key.address) } else { show(context, &key) }
        }
        Command::Delete { name, yes } => {
            let key = keyring.show(&name)?;
            if !yes && !prompt::confirm(&format!("Delete {} ({}) for good?", key.name, key.address))? {
                bail!("nothing was deleted");
            }
            keyring.delete(&name)?;
            context.print(|| Ok(json!({ "deleted": key.name })), || format!("deleted {}", key.name))
        }
    }
}

fn show(context: &Context, key: &KeyInfo) -> Result<()> {
    context.print(|| Ok::<Value, _>(serde_json::to_value(key)?), || format!("{}  {}", key.name, key.address))
}
