use crate::{KvRead, Order, StoreError, StoreName, prefix_end};

/// The page size when a request names none, as in the SDK.
pub const DEFAULT_LIMIT: u64 = 100;

/// What part of a listing is wanted, with the meaning of the SDK's `cosmos.base.query.v1beta1.PageRequest`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageRequest {
    /// The `next_key` of the page before; empty for the first page. Excludes `offset`.
    pub key: Vec<u8>,
    /// Rows to skip.
    pub offset: u64,
    /// Rows wanted; 0 is [`DEFAULT_LIMIT`] with `count_total`.
    pub limit: u64,
    /// Count all rows (only without `key`).
    pub count_total: bool,
    /// Last row first.
    pub reverse: bool,
}

/// A part of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// The key of the first row after these, without the collection's and the listing's prefix; empty when none follows.
    /// So, as in the SDK, a reverse listing cannot be continued at a row whose last part is empty: list no such keys.
    pub next_key: Vec<u8>,
    /// The number of rows in the listing when it was counted, else 0.
    pub total: u64,
}

/// Reads a page of the rows that start with `prefix`; `row` sees a key without `prefix` and may refuse a row (`None`),
/// which then counts for nothing, as in the SDK's filtered pagination without a key.
pub(crate) fn paginate<T>(
    s: &(impl KvRead + ?Sized),
    store: StoreName,
    prefix: &[u8],
    request: &PageRequest,
    mut row: impl FnMut(&[u8], &[u8]) -> Result<Option<T>, StoreError>,
) -> Result<Page<T>, StoreError> {
    if request.offset > 0 && !request.key.is_empty() {
        return Err(StoreError::PageRequest("invalid request, either offset or key is expected, got both"));
    }
    let limit = if request.limit == 0 { DEFAULT_LIMIT } else { request.limit };
    let count_total = (request.count_total || request.limit == 0) && request.key.is_empty();
    let order = if request.reverse { Order::Descending } else { Order::Ascending };

    let at = [prefix, &request.key].concat();
    let (start, end) = match order {
        // The next key itself comes first, in both directions.
        Order::Descending if !request.key.is_empty() => (prefix.to_vec(), Some([&at[..], &[0]].concat())),
        Order::Descending | Order::Ascending => (at, prefix_end(prefix)),
    };

    let mut page = Page { items: Vec::new(), next_key: Vec::new(), total: 0 };
    let mut skip = request.offset;
    let mut seen: u64 = 0;
    for next in s.scan(store, Some(&start), end.as_deref(), order)? {
        let (key, value) = next?;
        if skip > 0 {
            skip -= 1;
            seen += 1;
            continue;
        }
        let key = &key[prefix.len()..];
        if page.items.len() as u64 == limit {
            if page.next_key.is_empty() {
                page.next_key = key.to_vec();
            }
            if !count_total {
                break;
            }
            seen += u64::from(row(key, &value)?.is_some());
        } else if let Some(item) = row(key, &value)? {
            page.items.push(item);
            seen += 1;
        }
    }
    if count_total {
        page.total = seen;
    }
    Ok(page)
}
