//! Questions to whoever runs the command: on the terminal, or, where stdin is none, answered by its lines.

use std::io::{self, BufRead, ErrorKind, IsTerminal, Write};

use gantry_keyring::Ask;
use zeroize::Zeroizing;

/// The passphrase of the keyring; a new one twice.
pub(super) fn keyring_passphrase(what: Ask) -> io::Result<Zeroizing<String>> {
    match what {
        Ask::Existing => secret("Enter keyring passphrase:"),
        Ask::New => new_secret("Enter keyring passphrase:", "Re-enter keyring passphrase:"),
    }
}

/// A new secret, typed twice.
pub(super) fn new_secret(prompt: &str, again: &str) -> io::Result<Zeroizing<String>> {
    let first = secret(prompt)?;
    if *secret(again)? != *first {
        return Err(io::Error::new(ErrorKind::InvalidInput, "passphrases don't match"));
    }
    Ok(first)
}

/// A line that is not shown while it is typed.
pub(super) fn secret(prompt: &str) -> io::Result<Zeroizing<String>> {
    if io::stdin().is_terminal() {
        return rpassword::prompt_password(format!("{prompt} ")).map(Zeroizing::new);
    }
    line(prompt)
}

/// A line.
pub(super) fn line(prompt: &str) -> io::Result<Zeroizing<String>> {
    if io::stdin().is_terminal() {
        eprint!("{prompt} ");
        io::stderr().flush()?;
    }
    let mut text = Zeroizing::new(String::new());
    if io::stdin().lock().read_line(&mut text)? == 0 {
        return Err(io::Error::new(ErrorKind::UnexpectedEof, format!("no answer to {prompt:?} on stdin")));
    }
    let length = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(length);
    Ok(text)
}

/// Yes or no; no by default.
pub(super) fn confirm(question: &str) -> io::Result<bool> {
    eprint!("{question} [y/N]: ");
    io::stderr().flush()?;
    let answer = line("")?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
