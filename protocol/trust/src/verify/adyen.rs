//! Adyen: a signature in each item of the body, over eight of its fields; or one in a header, over the body.

use std::fmt;
use std::marker::PhantomData;

use ring::hmac;
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;
use subtle::ConstantTimeEq;

use super::{Case, Good, Proof, Wrong, key};
use crate::encoding::{Digest, Encoding};
use crate::finding::Reason;
use crate::profile::check::{Check, KeyForm};
use crate::secret::Secret;

/// The most items of one notification.
const ITEMS_MAX: usize = 100;

/// Every item must be good: what is done for one is done for all.
pub(super) fn check(case: &Case<'_, '_>, check: &Check, form: KeyForm) -> Proof {
    let body = case.reading.request.body;
    if let Some(given) = case.reading.header("hmacsignature")? {
        let secret = good(case, check, form, given, &[body])?;
        return Ok(Good { secret: Some(secret), bound: true });
    }
    let batch: Batch<'_> = serde_json::from_slice(body).map_err(|_| Reason::MalformedBody)?;
    let mut secret = None;
    for Entry { item } in batch.items.0 {
        let given =
            item.additional.as_ref().and_then(|additional| additional.signature).and_then(scalar);
        let given = given.ok_or(Wrong::Absent(Reason::SignatureMissing))?;
        let message = item.message();
        secret = Some(good(case, check, form, given.as_bytes(), &[message.as_bytes()])?);
    }
    // No item proves nothing.
    secret.ok_or(Wrong::Absent(Reason::SignatureMissing))?;
    Ok(Good { secret, bound: false })
}

/// The secret with which this signature is good.
fn good(
    case: &Case<'_, '_>,
    check: &Check,
    form: KeyForm,
    given: &[u8],
    message: &[&[u8]],
) -> Result<usize, Wrong> {
    let given = Encoding::Base64.decode(given).filter(|bytes| bytes.len() == Digest::Sha256.len());
    let given = given.ok_or(Reason::MalformedSignature)?;
    case.any_secret(check, |secret: &Secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key(secret, form)?);
        let mut context = hmac::Context::with_key(&key);
        message.iter().for_each(|part| context.update(part));
        Some(context.sign().as_ref().ct_eq(&given).into())
    })
}

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(rename = "notificationItems", borrow)]
    items: Items<Entry<'a>>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(rename = "NotificationRequestItem", borrow)]
    item: Item<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item<'a> {
    #[serde(borrow)]
    psp_reference: Option<&'a RawValue>,
    #[serde(borrow)]
    original_reference: Option<&'a RawValue>,
    #[serde(borrow)]
    merchant_account_code: Option<&'a RawValue>,
    #[serde(borrow)]
    merchant_reference: Option<&'a RawValue>,
    #[serde(borrow)]
    amount: Option<Amount<'a>>,
    #[serde(borrow)]
    event_code: Option<&'a RawValue>,
    #[serde(borrow)]
    success: Option<&'a RawValue>,
    #[serde(rename = "additionalData", borrow)]
    additional: Option<Additional<'a>>,
}

#[derive(Deserialize)]
struct Amount<'a> {
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    #[serde(borrow)]
    currency: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Additional<'a> {
    #[serde(rename = "hmacSignature", borrow)]
    signature: Option<&'a RawValue>,
}

impl Item<'_> {
    /// The eight fields, a colon between two; one that is not there is empty.
    fn message(&self) -> String {
        let (value, currency) = match &self.amount {
            Some(amount) => (amount.value, amount.currency),
            None => (None, None),
        };
        let fields = [
            self.psp_reference,
            self.original_reference,
            self.merchant_account_code,
            self.merchant_reference,
            value,
            currency,
            self.event_code,
            self.success,
        ];
        fields.map(|field| field.and_then(scalar).unwrap_or_default()).join(":")
    }
}

/// The text of a string, or a number or boolean as it is written.
fn scalar(raw: &RawValue) -> Option<String> {
    let text = raw.get();
    match text.as_bytes().first()? {
        b'"' => serde_json::from_str(text).ok(),
        b'{' | b'[' | b'n' => None,
        _ => Some(text.to_owned()),
    }
}

/// A list with a bound: else one of empty items would take much more memory than its text.
struct Items<T>(Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Items<T> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = Items<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Items<T>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element()? {
                    if items.len() == ITEMS_MAX {
                        return Err(de::Error::custom("too many items"));
                    }
                    items.push(item);
                }
                Ok(Items(items))
            }
        }

        reader.deserialize_seq(Reader(PhantomData))
    }
}
