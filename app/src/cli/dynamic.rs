//! Messages as the descriptor set describes them: from command line to protobuf, and from protobuf to JSON.
//!
//! | field | on the command line |
//! |---|---|
//! | integer, bool, string | as they are written |
//! | bytes | base64, or hexadecimal after `0x` |
//! | enum | its name, with or without the prefix, in any case; or its number |
//! | `Coin` | `5ugantry` |
//! | repeated `Coin` | `5ugantry,6atom` |
//! | any other message | proto JSON, or `@FILE` that holds it |
//! | repeated | the flag again for each element |

use std::{collections::BTreeMap, fs, sync::LazyLock};

use anyhow::{Context, Result, anyhow, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use clap::{Arg, ArgMatches, Command};
use gantry_core::{Coin, Coins};
use prost::{Message, Name};
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor,
    MethodDescriptor, Value,
};

use super::proto_json::Shown;

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(gantry_proto::DESCRIPTOR_SET).expect("the committed descriptor set is valid")
});

const COIN: &str = "cosmos.base.v1beta1.Coin";
const PAGE_REQUEST: &str = "cosmos.base.query.v1beta1.PageRequest";

/// The methods of all services of a name (`Msg`, `Query`): module -> command -> method. The module of `gantry.job.v1` is
/// `job`.
pub(super) fn methods(service: &str) -> BTreeMap<String, BTreeMap<String, MethodDescriptor>> {
    let mut modules: BTreeMap<String, BTreeMap<String, MethodDescriptor>> = BTreeMap::new();
    for service in POOL.services().filter(|s| s.name() == service) {
        let module = service.package_name().rsplit('.').nth(1).unwrap_or_default();
        let commands = modules.entry(module.to_owned()).or_default();
        commands.extend(service.methods().map(|method| (kebab(method.name()), method)));
    }
    modules
}

/// `/package.Service/Method`.
pub(super) fn path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

/// `RegisterProvider` and `job_id` as commands and flags write them.
pub(super) fn kebab(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    let mut previous = '-';
    for c in name.chars() {
        if c.is_ascii_uppercase() && (previous.is_ascii_lowercase() || previous.is_ascii_digit()) {
            text.push('-');
        }
        text.push(if c == '_' { '-' } else { c.to_ascii_lowercase() });
        previous = c;
    }
    text
}

/// Which fields of a message are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fields {
    /// Number of a field that is filled otherwise.
    pub(super) without: Option<u32>,
}

impl Fields {
    fn of(self, message: &MessageDescriptor) -> impl Iterator<Item = FieldDescriptor> {
        let mut fields: Vec<_> = message.fields().filter(|field| Some(field.number()) != self.without).collect();
        fields.sort_by_key(FieldDescriptor::number);
        fields.into_iter().filter(|field| !is_page_request(field))
    }

    /// Adds a flag for every field, and a place for every field that is one short word, in the order of their numbers.
    pub(super) fn add(self, mut command: Command, message: &MessageDescriptor, taken: &[String]) -> Command {
        let fields: Vec<_> = self.of(message).collect();
        for field in fields.iter().filter(|field| is_positional(field)) {
            let place = Arg::new(leak(place_id(field))).value_name(leak(kebab(field.name()).to_uppercase()));
            command = command.arg(place.help(hint(field)));
        }
        for field in &fields {
            let mut long = kebab(field.name());
            if taken.contains(&long) {
                long.insert_str(0, "field-");
            }
            let action =
                if field.is_list() && !is_coins(field) { clap::ArgAction::Append } else { clap::ArgAction::Set };
            let flag = Arg::new(leak(flag_id(field))).long(leak(long)).value_name("VALUE").action(action);
            command = command.arg(flag.help(hint(field)).help_heading("Fields").hide(is_positional(field)));
        }
        let whole = Arg::new(WHOLE).long(WHOLE).value_name("JSON").help_heading("Fields");
        command =
            command.arg(whole.help(format!("{} in proto JSON, or @FILE; other flags override it", message.name())));
        if message.fields().any(|field| is_page_request(&field)) {
            command = <Page as clap::Args>::augment_args(command);
        }
        command
    }

    /// The message that the arguments describe.
    pub(super) fn message(self, message: MessageDescriptor, matches: &ArgMatches) -> Result<DynamicMessage> {
        let mut filled = match matches.get_one::<String>(WHOLE) {
            Some(json) => from_json(message.clone(), &file_or_text(json)?)?,
            None => DynamicMessage::new(message.clone()),
        };
        for field in self.of(&message) {
            let flags: Vec<&str> =
                matches.get_many(&flag_id(&field)).into_iter().flatten().map(String::as_str).collect();
            let place = match is_positional(&field) {
                true => matches.get_one::<String>(&place_id(&field)).map(String::as_str),
                false => None,
            };
            let texts = match (flags.is_empty(), place) {
                (true, None) => continue,
                (true, Some(text)) => vec![text],
                (false, None) => flags,
                (false, Some(_)) => bail!("{} is given twice", kebab(field.name())),
            };
            let value = parse(&field, &texts).with_context(|| format!("invalid {}", kebab(field.name())))?;
            filled.set_field(&field, value);
        }
        if let Some(field) = message.fields().find(is_page_request) {
            let page = <Page as clap::FromArgMatches>::from_arg_matches(matches)?;
            if let Some(page) = page.request()? {
                filled.set_field(&field, Value::Message(page));
            }
        }
        Ok(filled)
    }
}

/// The long names of the flags of a command, which fields cannot have.
pub(super) fn flags_of<A: clap::Args>() -> Vec<String> {
    let command = A::augment_args(Command::new("flags"));
    command.get_arguments().filter_map(Arg::get_long_and_visible_aliases).flatten().map(str::to_owned).collect()
}

/// The flag that holds a whole message.
const WHOLE: &str = "json";

/// `cosmos.base.query.v1beta1.PageRequest` as flags.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Pages")]
struct Page {
    /// Most entries of a page
    #[arg(long, visible_alias = "page-limit")]
    limit: Option<u64>,
    /// Where the page begins: next_key of the page before
    #[arg(long)]
    page_key: Option<String>,
    /// Entries to leave out
    #[arg(long, visible_alias = "page-offset", conflicts_with = "page_key")]
    offset: Option<u64>,
    /// Count all entries
    #[arg(long, visible_alias = "page-count-total")]
    count_total: bool,
    /// Last entries first
    #[arg(long, visible_alias = "page-reverse")]
    reverse: bool,
}

impl Page {
    fn request(&self) -> Result<Option<DynamicMessage>> {
        use cosmos_sdk_proto::cosmos::base::query::v1beta1::PageRequest;
        let key = self.page_key.as_ref().map(|key| STANDARD.decode(key)).transpose().context("--page-key")?;
        let request = PageRequest {
            key: key.unwrap_or_default(),
            offset: self.offset.unwrap_or_default(),
            limit: self.limit.unwrap_or_default(),
            count_total: self.count_total,
            reverse: self.reverse,
        };
        (request != PageRequest::default()).then(|| dynamic(&request)).transpose()
    }
}

fn is_page_request(field: &FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::Message(message) if message.full_name() == PAGE_REQUEST)
}

fn is_coin(field: &FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::Message(message) if message.full_name() == COIN)
}

fn is_coins(field: &FieldDescriptor) -> bool {
    field.is_list() && is_coin(field)
}

/// Whether one word holds the field, so that it can stand without its name.
fn is_positional(field: &FieldDescriptor) -> bool {
    let word = !matches!(field.kind(), Kind::Message(_) | Kind::Bool) && !field.is_list();
    (word && field.containing_oneof().is_none()) || is_coin(field)
}

fn flag_id(field: &FieldDescriptor) -> String {
    format!("field.{}", field.name())
}

fn place_id(field: &FieldDescriptor) -> String {
    format!("place.{}", field.name())
}

/// What to write for a field.
fn hint(field: &FieldDescriptor) -> String {
    let one = match field.kind() {
        Kind::Message(_) if is_coins(field) => return "such as 5ugantry,6atom".into(),
        Kind::Message(_) if is_coin(field) => "such as 5ugantry".into(),
        Kind::Message(message) => format!("{} in proto JSON, or @FILE", message.full_name()),
        Kind::Enum(kind) => {
            let names: Vec<_> = kind.values().map(|value| short_name(&kind, value.name())).collect();
            names.join(", ")
        }
        Kind::Bytes => "base64, or hexadecimal after 0x".into(),
        Kind::String => "text".into(),
        kind => format!("{kind:?}").to_lowercase(),
    };
    if field.is_list() { format!("{one}; may be repeated") } else { one }
}

/// An enum value's name without the enum's, in lower case: `JOB_STATE_QUEUED` is `queued`.
fn short_name(kind: &EnumDescriptor, value: &str) -> String {
    let prefix = kebab(kind.name()).replace('-', "_").to_uppercase() + "_";
    kebab(&value.strip_prefix(&prefix).unwrap_or(value).to_lowercase())
}

/// A field's value from one text, or several for a repeated field.
fn parse(field: &FieldDescriptor, texts: &[&str]) -> Result<Value> {
    if is_coins(field) {
        let mut coins = Vec::new();
        for coin in texts.join(",").parse::<Coins>()?.iter() {
            coins.push(Value::Message(dynamic(&coin.to_proto())?));
        }
        return Ok(Value::List(coins));
    }
    if field.is_map() {
        bail!("give it within --json");
    }
    let mut values = texts.iter().map(|text| parse_one(&field.kind(), text)).collect::<Result<Vec<_>>>()?;
    if field.is_list() {
        return Ok(Value::List(values));
    }
    match (values.pop(), values.is_empty()) {
        (Some(value), true) => Ok(value),
        _ => bail!("needs one value"),
    }
}

fn parse_one(kind: &Kind, text: &str) -> Result<Value> {
    Ok(match kind {
        Kind::Bool => Value::Bool(text.parse()?),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(integer(text)?),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(integer(text)?),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(integer(text)?),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(integer(text)?),
        Kind::Float | Kind::Double => bail!("fractions are not supported"),
        Kind::String => Value::String(text.to_owned()),
        Kind::Bytes => Value::Bytes(
            match text.strip_prefix("0x") {
                Some(digits) => hex::decode(digits)?,
                None => STANDARD.decode(text)?,
            }
            .into(),
        ),
        Kind::Enum(kind) => Value::EnumNumber(enum_number(kind, text)?),
        Kind::Message(message) if message.full_name() == COIN && !text.starts_with(['{', '@']) => {
            Value::Message(dynamic(&text.parse::<Coin>()?.to_proto())?)
        }
        Kind::Message(message) => {
            let text = file_or_text(text)?;
            // Durations, timestamps and the like are strings in proto JSON: their quotes may be left out.
            let quoted = serde_json::to_string(&text)?;
            let bare = message.package_name() == "google.protobuf" && !text.starts_with(['{', '"']);
            Value::Message(from_json(message.clone(), if bare { &quoted } else { &text })?)
        }
    })
}

fn integer<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| anyhow!("{text:?} is not an integer of {} bits", 8 * size_of::<T>()))
}

fn enum_number(kind: &EnumDescriptor, text: &str) -> Result<i32> {
    let wanted = kebab(&text.to_lowercase());
    let known = kind.values().find(|value| {
        kebab(&value.name().to_lowercase()) == wanted
            || short_name(kind, value.name()) == wanted
            || text.parse() == Ok(value.number())
    });
    let names = || kind.values().map(|value| short_name(kind, value.name())).collect::<Vec<_>>().join(", ");
    known.map(|value| value.number()).with_context(|| format!("{text:?} is none of {}", names()))
}

fn file_or_text(text: &str) -> Result<String> {
    match text.strip_prefix('@') {
        Some(path) => fs::read_to_string(path).with_context(|| path.to_owned()),
        None => Ok(text.to_owned()),
    }
}

/// The descriptor of a generated type.
pub(super) fn descriptor<M: Name>() -> Result<MessageDescriptor> {
    message_named(&M::full_name())
}

/// The descriptor of a type by its full name.
pub(super) fn message_named(name: &str) -> Result<MessageDescriptor> {
    POOL.get_message_by_name(name).with_context(|| format!("unable to resolve type {name}"))
}

/// A typed message as a dynamic one.
pub(super) fn dynamic<M: Message + Name>(message: &M) -> Result<DynamicMessage> {
    let mut dynamic = DynamicMessage::new(descriptor::<M>()?);
    dynamic.transcode_from(message)?;
    Ok(dynamic)
}

/// Proto JSON as the SDK writes it.
pub(super) fn to_json(message: &DynamicMessage) -> Result<String> {
    Ok(serde_json::to_string(&Shown(message))?)
}

/// Reads proto JSON; unknown fields are refused.
pub(super) fn from_json(message: MessageDescriptor, json: &str) -> Result<DynamicMessage> {
    let mut text = serde_json::Deserializer::from_str(json);
    let read = DynamicMessage::deserialize_with_options(message, &mut text, &DeserializeOptions::new())?;
    text.end()?;
    Ok(read)
}

/// clap keeps names for the length of the process; there are as many as the descriptor set has fields.
pub(super) fn leak(text: String) -> &'static str {
    text.leak()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_proto::gantry::{
        job::v1::{JobSpec, MsgReportFailure, MsgSubmitJobs, QueryJobsRequest, Reason},
        provider::v1::{MsgRegisterProvider, MsgSetOffer},
    };

    fn read<M: Message + Name + Default>(args: &[&str]) -> Result<M> {
        let fields = Fields { without: None };
        let message = descriptor::<M>()?;
        let command = fields.add(Command::new("test").no_binary_name(true), &message, &["label".into()]);
        let matches = command.try_get_matches_from(args)?;
        Ok(fields.message(message, &matches)?.transcode_to()?)
    }

    #[test]
    fn commands_and_flags_are_kebab_case() {
        for (name, expected) in [
            ("RegisterProvider", "register-provider"),
            ("Send", "send"),
            ("job_id", "job-id"),
            ("DenomMetadataByQueryString", "denom-metadata-by-query-string"),
        ] {
            assert_eq!(kebab(name), expected);
        }
    }

    #[test]
    fn every_module_has_its_methods() {
        let (msgs, queries) = (methods("Msg"), methods("Query"));
        assert!(msgs["provider"].contains_key("heartbeat") && msgs["bank"].contains_key("send"));
        assert!(queries["job"].contains_key("job") && queries["auth"].contains_key("account"));
        assert_eq!(path(&queries["bank"]["all-balances"]), "/cosmos.bank.v1beta1.Query/AllBalances");
    }

    #[test]
    fn words_stand_in_the_order_of_fields_or_after_their_flags() {
        let expected = MsgReportFailure {
            operator: "me".into(),
            job_id: 3,
            attempt: 1,
            replica: 2,
            reason: Reason::NoResult.into(),
            evidence: vec![1, 2],
        };
        for args in [
            &["me", "3", "1", "2", "no-result", "0x0102"][..],
            &["me", "3", "1", "2", "REASON_NO_RESULT", "AQI="],
            &["me", "3", "--evidence", "AQI=", "--reason", "9", "--replica", "2", "--attempt", "1"],
            &[
                "--json",
                r#"{"operator":"me","job_id":"3","attempt":9,"replica":2,"reason":"REASON_NO_RESULT"}"#,
                "--evidence",
                "AQI=",
                "--attempt",
                "1",
            ],
        ] {
            assert_eq!(read::<MsgReportFailure>(args).unwrap(), expected, "{args:?}");
        }
    }

    #[test]
    fn coins_lists_and_nested_messages_are_read() {
        let msg: MsgRegisterProvider =
            read(&["me", "worker", "5ugantry", "--endpoints", "a", "--endpoints", "b,c"]).unwrap();
        assert_eq!(msg.bond.unwrap(), Coin::base(5).to_proto());
        assert_eq!(msg.endpoints, ["a", "b,c"]);
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), r#"{"kind":"HARDWARE_KIND_WASM","arch":"x86_64"}"#).unwrap();
        let hardware = format!("@{}", file.path().display());
        let msg: MsgSetOffer = read(&[
            "--hardware",
            &hardware,
            "--attributes",
            r#"{"name":"cpu_cores","value":8}"#,
            "--attributes",
            r#"{"name":"memory_mib","value":"64"}"#,
            "--ask-per-second",
            r#"{"denom":"atom","amount":"1"}"#,
        ])
        .unwrap();
        assert_eq!(msg.hardware.unwrap().arch, "x86_64");
        assert_eq!(msg.attributes.iter().map(|a| a.value).collect::<Vec<_>>(), [8, 64]);
        assert_eq!(msg.ask_per_second.unwrap().denom, "atom");
    }

    #[test]
    fn a_flag_that_the_command_has_already_gets_a_prefix() {
        let msg: MsgSubmitJobs = read(&["--field-label", "night", "--jobs", r#"{"name":"a","retries":2}"#]).unwrap();
        assert_eq!((msg.label.as_str(), msg.jobs[0].retries), ("night", 2));
    }

    #[test]
    fn pages_have_flags() {
        let request: QueryJobsRequest = read(&["--limit", "2", "--reverse", "--page-key", "AQI="]).unwrap();
        let page = request.pagination.unwrap();
        assert_eq!((page.limit, page.reverse, page.key), (2, true, vec![1, 2]));
        assert_eq!(read::<QueryJobsRequest>(&[]).unwrap().pagination, None);
        assert!(read::<QueryJobsRequest>(&["--offset", "1", "--page-key", "AQI="]).is_err());
    }

    #[test]
    fn what_is_no_value_of_a_field_is_refused_by_its_name() {
        for (args, field) in [
            (&["me", "x"][..], "job-id"),
            (&["me", "-1"], "-1"),
            (&["me", "18446744073709551616"], "job-id"),
            (&["me", "3", "4294967296"], "attempt"),
            (&["me", "3", "--job-id", "3"], "job-id"),
            (&["me", "3", "1", "2", "tired"], "reason"),
            (&["me", "3", "1", "2", "9", "0x0"], "evidence"),
            (&["--json", r#"{"operater":"me"}"#], "operater"),
            (&["--json", "{} {}"], "trailing"),
            (&["--job-id", "3", "--job-id", "4"], "job-id"),
        ] {
            let error = format!("{:#}", read::<MsgReportFailure>(args).unwrap_err());
            assert!(error.contains(field), "{args:?}: {error}");
        }
    }

    #[test]
    fn json_has_all_fields_under_their_proto_names() {
        let spec = JobSpec { name: "a".into(), deadline_seconds: 5, ..JobSpec::default() };
        let json: serde_json::Value = serde_json::from_str(&to_json(&dynamic(&spec).unwrap()).unwrap()).unwrap();
        assert_eq!(json["deadline_seconds"], "5");
        assert_eq!(json["retries"], 0);
        assert_eq!(json["kind"], "JOB_KIND_UNSPECIFIED");
        assert_eq!(json["inputs"], serde_json::json!([]));
        assert_eq!(json["image"], serde_json::Value::Null);
    }
}
