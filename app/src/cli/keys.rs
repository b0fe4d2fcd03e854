//! `gantryd keys`: the keyring, with the SDK's commands and output.

use std::{fs, io::Read, path::PathBuf};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use gantry_core::{ADDRESS_PREFIX, CONSENSUS_PREFIX, OPERATOR_PREFIX};
use gantry_keyring::{COIN_TYPE, HdPath, KeyInfo, Keyring, Mnemonic};

use super::{
    client::Client,
    output::{self, Format},
    prompt,
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a key, or recover one from its words
    Add(Add),
    /// List all keys
    List {
        /// Names alone
        #[arg(long, short = 'n')]
        list_names: bool,
    },
    /// Show a key
    Show(Show),
    /// Write a key in the SDK's armor
    Export(Export),
    /// Take in an armored key
    Import {
        /// Name to give it
        name: String,
        /// File with the armored key; - is stdin
        file: PathBuf,
    },
    /// Take in a private key in hexadecimal
    ImportHex {
        /// Name to give it
        name: String,
        /// 64 digits
        hex: String,
    },
    /// Forget keys for good
    Delete {
        /// Names or addresses
        #[arg(required = true)]
        names: Vec<String>,
        /// Do not ask
        #[arg(long, short = 'y')]
        yes: bool,
    },
    /// Print 24 fresh words and keep nothing
    Mnemonic,
}

#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// Name to give it
    name: String,
    /// Ask for the words of a known key
    #[arg(long)]
    recover: bool,
    /// Read the words from a file
    #[arg(long, value_name = "FILE")]
    source: Option<PathBuf>,
    /// Account number in the derivation path
    #[arg(long, default_value_t = 0)]
    account: u32,
    /// Address index in the derivation path
    #[arg(long, default_value_t = 0)]
    index: u32,
    /// Coin type in the derivation path
    #[arg(long, default_value_t = COIN_TYPE)]
    coin_type: u32,
    /// Do not print the words
    #[arg(long)]
    no_backup: bool,
    /// Keep nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// Name or address
    name: String,
    /// Print the address alone
    #[arg(long, short = 'a', conflicts_with = "pubkey")]
    address: bool,
    /// Print the public key alone
    #[arg(long, short = 'p')]
    pubkey: bool,
    /// Prefix of the address
    #[arg(long, default_value = "acc")]
    bech: Bech,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Bech {
    Acc,
    Val,
    Cons,
}

#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// Name or address
    name: String,
    /// The bare private key; needs --unsafe
    #[arg(long, requires = "unsafe_")]
    unarmored_hex: bool,
    /// I know what I do
    #[arg(long = "unsafe", requires = "unarmored_hex")]
    unsafe_: bool,
    /// Do not ask
    #[arg(long, short = 'y')]
    yes: bool,
}

pub(super) fn run(client: &Client, command: Command) -> Result<()> {
    let format = client.output;
    match command {
        Command::Add(args) => add(client, format, &args),
        Command::List { list_names } => list(&client.keyring()?, format, list_names),
        Command::Show(args) => show(client, format, &args),
        Command::Export(args) => export(&client.keyring()?, &args),
        Command::Import { name, file } => {
            let armor = if file.as_os_str() == "-" {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text)?;
                text
            } else {
                fs::read_to_string(&file).with_context(|| file.display().to_string())?
            };
            let passphrase = prompt::secret("Enter passphrase to decrypt your key:")?;
            client.keyring()?.import_armored(&name, &armor, &passphrase)?;
            Ok(())
        }
        Command::ImportHex { name, hex } => {
            client.keyring()?.import_hex(&name, hex.trim_start_matches("0x"))?;
            Ok(())
        }
        Command::Delete { names, yes } => delete(&client.keyring()?, &names, yes),
        Command::Mnemonic => output::line(&Mnemonic::generate()?.phrase()),
    }
}

fn add(client: &Client, format: Format, args: &Add) -> Result<()> {
    let path = HdPath { coin_type: args.coin_type, account: args.account, index: args.index };
    let keyring = if args.dry_run { Keyring::memory() } else { client.keyring()? };
    let words = match &args.source {
        Some(file) => Some(fs::read_to_string(file).with_context(|| file.display().to_string())?.into()),
        None if args.recover => Some(prompt::line("> Enter your bip39 mnemonic\n")?),
        None => None,
    };
    let mut key = match words {
        Some(words) => keyring.recover(&args.name, &Mnemonic::parse(&words)?, path, "")?,
        None => keyring.create(&args.name, path)?,
    };
    if args.no_backup {
        key.mnemonic = None;
    }
    print(format, &key)?;
    if let (Format::Text, Some(words)) = (format, &key.mnemonic) {
        eprintln!(
            "\n**Important** write this mnemonic phrase in a safe place.\n\
             It is the only way to recover your account if you ever forget your password.\n\n{words}"
        );
    }
    Ok(())
}

fn list(keyring: &Keyring, format: Format, names: bool) -> Result<()> {
    let keys = keyring.list()?;
    if names {
        return keys.iter().try_for_each(|key| output::line(&key.name));
    }
    match format {
        Format::Json => output::line(&serde_json::to_string(&keys)?),
        Format::Text if keys.is_empty() => {
            eprintln!("No records were found in keyring");
            Ok(())
        }
        Format::Text => keys.iter().try_for_each(|key| output::line(&key.to_string())),
    }
}

fn show(client: &Client, format: Format, args: &Show) -> Result<()> {
    let prefix = match args.bech {
        Bech::Acc => ADDRESS_PREFIX,
        Bech::Val => OPERATOR_PREFIX,
        Bech::Cons => CONSENSUS_PREFIX,
    };
    let key =
        client.keyring()?.show(&args.name).with_context(|| format!("{} is not a valid name or address", args.name))?;
    let key = KeyInfo::new(&key.name, key.public_key, prefix)?;
    if args.address {
        output::line(&key.address)
    } else if args.pubkey {
        output::line(&key.pubkey)
    } else {
        print(format, &key)
    }
}

fn export(keyring: &Keyring, args: &Export) -> Result<()> {
    if args.unarmored_hex {
        let question = "WARNING: The private key will be exported as an unarmored hexadecimal string. \
                        USE AT YOUR OWN RISK. Continue?";
        ensure!(args.yes || prompt::confirm(question)?, "aborted");
        return output::line(&keyring.export_hex(&args.name)?);
    }
    keyring.show(&args.name)?;
    let passphrase = prompt::secret("Enter passphrase to encrypt the exported key:")?;
    output::line(keyring.export_armored(&args.name, &passphrase)?.trim_end())
}

fn delete(keyring: &Keyring, names: &[String], yes: bool) -> Result<()> {
    for name in names {
        keyring.show(name)?;
        if !yes && !prompt::confirm("Key reference will be deleted. Continue?")? {
            continue;
        }
        keyring.delete(name)?;
        eprintln!("Key deleted forever (uh oh!)");
    }
    Ok(())
}

fn print(format: Format, key: &KeyInfo) -> Result<()> {
    match format {
        Format::Json => output::line(&serde_json::to_string(key)?),
        Format::Text => output::line(&key.to_string()),
    }
}
