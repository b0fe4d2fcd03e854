//! The keyring as people and programs use it: names, files, passphrases, bad input.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gantry_keyring::{Ask, Backend, HdPath, Keyring, KeyringError, Mnemonic, PrivateKey, armor};
use proptest::prelude::*;
use zeroize::Zeroizing;

const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn key(seed: u8) -> PrivateKey {
    PrivateKey::from_bytes(&[seed; 32]).unwrap()
}

/// A file keyring that answers with `passphrase`, and how often it was asked.
fn file(home: &Path, passphrase: &str) -> (Keyring, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let (count, passphrase) = (asked.clone(), passphrase.to_owned());
    let ask = Box::new(move |_: Ask| {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(Zeroizing::new(passphrase.clone()))
    });
    (Keyring::open(Backend::File, home, ask), asked)
}

#[test]
fn a_file_keyring_seals_and_asks_once() {
    let home = tempfile::tempdir().unwrap();
    let (keyring, asked) = file(home.path(), "open sesame");
    let made = keyring.add("alice", &key(1)).unwrap();
    keyring.add("bob", &key(2)).unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);

    // Another process: listing asks for nothing, signing asks once.
    let (keyring, asked) = file(home.path(), "open sesame");
    let names: Vec<_> = keyring.list().unwrap().into_iter().map(|info| info.name).collect();
    assert_eq!(names, ["alice", "bob"]);
    assert_eq!(keyring.show(&made.address).unwrap(), made);
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    assert_eq!(keyring.sign("alice", b"hello").unwrap(), key(1).sign(b"hello"));
    assert_eq!(keyring.sign(&made.address, b"hello").unwrap(), key(1).sign(b"hello"));
    assert_eq!(asked.load(Ordering::SeqCst), 1);

    let folder = home.path().join("keyring-file");
    let path = folder.join("alice.key.json");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2, "no temporary file is left");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains(&hex::encode([1u8; 32])), "the private key lies in clear");
    assert!(text.contains("\"version\": 1"));
}

#[test]
fn a_wrong_passphrase_opens_and_adds_nothing() {
    let home = tempfile::tempdir().unwrap();
    file(home.path(), "open sesame").0.add("alice", &key(1)).unwrap();
    let (wrong, asked) = file(home.path(), "close sesame");
    for attempt in 1..=2 {
        assert!(matches!(wrong.sign("alice", b""), Err(KeyringError::WrongPassphrase)));
        assert_eq!(asked.load(Ordering::SeqCst), attempt, "a wrong answer is not kept");
    }
    assert!(matches!(wrong.add("bob", &key(2)), Err(KeyringError::WrongPassphrase)));
    assert_eq!(wrong.list().unwrap().len(), 1);

    let short = file(tempfile::tempdir().unwrap().path(), "seven77").0.add("alice", &key(1)).unwrap_err();
    assert_eq!(short.to_string(), "password must be at least 8 characters");
}

#[test]
fn every_altered_byte_of_a_sealed_file_is_noticed() {
    let home = tempfile::tempdir().unwrap();
    file(home.path(), "open sesame").0.add("alice", &key(1)).unwrap();
    let path = home.path().join("keyring-file/alice.key.json");
    let good = std::fs::read_to_string(&path).unwrap();
    let other = hex::encode(key(2).public_key());
    let altered = [
        good.replace(&hex::encode(key(1).public_key()), &other),
        good.replace("\"passes\": 3", "\"passes\": 2"),
        good.replace("\"ciphertext\": \"", "\"ciphertext\": \"00"),
        good.replace("\"nonce\": \"", "\"nonce\": \"00"),
        good.replace("\"memory_kib\": 65536", "\"memory_kib\": 4294967295"),
        good.replace("\"version\": 1", "\"version\": 2"),
        good.replace("\"name\": \"alice\"", "\"name\": \"mallory\""),
        good.replace("\"version\"", "\"extra\": 1, \"version\""),
        good[..good.len() / 2].to_owned(),
        String::new(),
    ];
    for text in altered {
        assert_ne!(text, good);
        std::fs::write(&path, &text).unwrap();
        let error = file(home.path(), "open sesame").0.sign("alice", b"").unwrap_err();
        assert!(matches!(error, KeyringError::WrongPassphrase | KeyringError::BadFile { .. }), "{error}: {text}");
    }
}

#[test]
fn names_that_are_no_file_names_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let keyring = Keyring::test(home.path());
    let long = "a".repeat(65);
    for name in
        ["", ".", "..", "../alice", "a/b", "/etc/passwd", "a\\b", ".hidden", "-rf", "a b", "a\0b", "é", "a\n", &long]
    {
        assert!(matches!(keyring.add(name, &key(1)), Err(KeyringError::InvalidName(_))), "{name:?}");
        for error in
            [keyring.show(name).unwrap_err(), keyring.delete(name).unwrap_err(), keyring.sign(name, b"").unwrap_err()]
        {
            assert!(matches!(error, KeyringError::InvalidName(_)), "{name:?}: {error}");
        }
    }
    assert!(keyring.list().unwrap().is_empty());
    assert!(!home.path().join("keyring-test").exists(), "nothing is made before the first key");
    for name in ["a", "validator-0", "A.b_c", &"a".repeat(64)] {
        keyring.add(name, &PrivateKey::from_bytes(&sha2_of(name)).unwrap()).unwrap();
    }
}

fn sha2_of(name: &str) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    Sha256::digest(name).into()
}

#[test]
fn a_key_is_never_written_over() {
    let home = tempfile::tempdir().unwrap();
    for keyring in [Keyring::test(home.path()), Keyring::memory()] {
        keyring.add("alice", &key(1)).unwrap();
        assert!(matches!(keyring.add("alice", &key(2)), Err(KeyringError::AlreadyExists(_))));
        assert!(matches!(keyring.add("again", &key(1)), Err(KeyringError::DuplicateKey(name)) if name == "alice"));
        assert_eq!(keyring.signer("alice").unwrap().public_key(), key(1).public_key());
        keyring.delete("alice").unwrap();
        assert_eq!(keyring.show("alice").unwrap_err().to_string(), "alice.info: key not found");
        assert!(matches!(keyring.delete("alice"), Err(KeyringError::NotFound(_))));
        keyring.add("alice", &key(2)).unwrap();
    }
}

#[test]
fn a_race_for_a_name_has_one_winner() {
    let home = tempfile::tempdir().unwrap();
    let won: usize = std::thread::scope(|scope| {
        let tries: Vec<_> = (1..=8u8)
            .map(|seed| (seed, Keyring::test(home.path())))
            .map(|(seed, keyring)| scope.spawn(move || usize::from(keyring.add("alice", &key(seed)).is_ok())))
            .collect();
        tries.into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert_eq!(won, 1);
    assert_eq!(Keyring::test(home.path()).list().unwrap().len(), 1);
}

#[test]
fn created_words_recover_the_key() {
    let keyring = Keyring::memory();
    let info = keyring.create("alice", HdPath::default()).unwrap();
    let words = info.mnemonic.clone().unwrap();
    assert_eq!(words.split(' ').count(), 24);
    assert!(keyring.show("alice").unwrap().mnemonic.is_none(), "words are shown once");
    let json = serde_json::to_value(&info).unwrap();
    assert_eq!(json.as_object().unwrap().len(), 5);

    let again = Keyring::memory().with_prefix("cosmos");
    let spaced = words.replace(' ', "\n  ").to_uppercase();
    let recovered = again.recover("bob", &Mnemonic::parse(&spaced).unwrap(), HdPath::default(), "").unwrap();
    assert_eq!(recovered.public_key, info.public_key);
    assert!(recovered.address.starts_with("cosmos1"));
    let other = Mnemonic::parse(&words).unwrap().derive(HdPath::default(), "TREZOR").unwrap();
    assert_ne!(other.public_key(), &info.public_key);
}

#[test]
fn bad_words_and_paths_are_refused_without_being_repeated() {
    for words in ["", "abandon", "abandon ".repeat(24).trim(), "zebra zebra gibberish"] {
        let error = Mnemonic::parse(words).unwrap_err();
        assert!(matches!(error, KeyringError::InvalidMnemonic(_)));
        assert!(!error.to_string().contains("gibberish") && !error.to_string().contains("abandon"), "{error}");
    }
    let words = Mnemonic::generate().unwrap();
    for path in [HdPath { index: 1 << 31, ..HdPath::default() }, HdPath { account: u32::MAX, ..HdPath::default() }] {
        assert!(matches!(words.derive(path, ""), Err(KeyringError::InvalidPath(_))));
    }
}

#[test]
fn keys_move_between_keyrings() {
    let home = tempfile::tempdir().unwrap();
    let (from, _) = file(home.path(), "open sesame");
    from.import_hex("alice", SECRET).unwrap();
    assert!(matches!(from.export_armored("alice", "short"), Err(KeyringError::PassphraseTooShort { .. })));
    let text = from.export_armored("alice", "another one").unwrap();
    assert!(text.starts_with("-----BEGIN TENDERMINT PRIVATE KEY-----\nkdf: argon2\nsalt: "));

    let to = Keyring::memory();
    assert!(matches!(to.import_armored("carol", &text, "open sesame"), Err(KeyringError::WrongPassphrase)));
    let quoted = format!("From: someone\r\n\r\n{}\r\nbye\r\n", text.replace('\n', "\r\n"));
    to.import_armored("carol", &quoted, "another one").unwrap();
    assert_eq!(to.export_hex("carol").unwrap().as_str(), SECRET);
    for bad in ["", "zz", &SECRET[2..], &"0".repeat(64), &"f".repeat(64)] {
        assert!(matches!(to.import_hex("dave", bad), Err(KeyringError::InvalidKey(_))), "{bad}");
    }
}

#[test]
fn debug_shows_no_secret() {
    let secret = PrivateKey::from_bytes(&hex::decode(SECRET).unwrap()).unwrap();
    let keyring = Keyring::memory();
    keyring.add("alice", &secret).unwrap();
    let signer = keyring.signer("alice").unwrap();
    let words = Mnemonic::generate().unwrap();
    let shown = format!("{secret:?} {secret:#?} {signer:?} {keyring:?} {words:?}");
    assert!(!shown.contains(SECRET) && !shown.contains(&format!("{:?}", &secret.expose()[..4])), "{shown}");
    assert!(
        words
            .phrase()
            .split(' ')
            .all(|word| { !shown.split(|c: char| !c.is_ascii_lowercase()).any(|w| w == word && w.len() > 5) })
    );
}

#[test]
fn backends_are_named_as_the_sdk_does() {
    assert_eq!("file".parse::<Backend>().unwrap(), Backend::File);
    assert_eq!("test".parse::<Backend>().unwrap(), Backend::Test);
    let error = "os".parse::<Backend>().unwrap_err();
    assert_eq!(error.to_string(), "unknown keyring backend \"os\": use file, test or memory");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn signatures_are_low_s_and_deterministic(seed in 1u8..=254, message: Vec<u8>) {
        // Half of the group order, rounded down.
        const HALF: &str = "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0";
        let signature = key(seed).sign(&message);
        prop_assert_eq!(signature, key(seed).sign(&message));
        prop_assert!(hex::encode(&signature[32..]).as_str() <= HALF);
        let parsed = secp256k1::ecdsa::Signature::from_compact(&signature).unwrap();
        let digest = { use sha2::{Digest, Sha256}; secp256k1::Message::from_digest(Sha256::digest(&message).into()) };
        let public = secp256k1::PublicKey::from_slice(key(seed).public_key()).unwrap();
        prop_assert!(secp256k1::SECP256K1.verify_ecdsa(digest, &parsed, &public).is_ok());
    }

    #[test]
    fn no_text_makes_the_armor_reader_panic(text in "(-----BEGIN TENDERMINT PRIVATE KEY-----\n)?(kdf: (argon2|bcrypt|x)\n)?(salt: [0-9A-F]{0,8}\n)?\n?[A-Za-z0-9+/=\n-]{0,80}(\n=[A-Za-z]{4})?(\n-----END TENDERMINT PRIVATE KEY-----)?") {
        prop_assert!(armor::decrypt(&text, "passphrase").is_err());
    }
}
