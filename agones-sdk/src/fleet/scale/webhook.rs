//! Owns: one call to an autoscaling webhook: HTTP or HTTPS, a deadline, a bounded answer.
//! Must never know: why it is asked, or what follows from the answer.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Certificate, Client, StatusCode, Url};

use super::review::{FleetAutoscaleRequest, FleetAutoscaleReview};

/// Agones gives a webhook so long.
const DEADLINE: Duration = Duration::from_secs(15);
/// A longer answer is none.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Where a webhook is, and whom it is believed by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Webhook {
    url: String,
    ca_pem: Option<String>,
}

impl Webhook {
    /// A webhook at an `http` or `https` address; with `ca_pem` only certificates of these authorities are believed,
    /// without it those of the system.
    ///
    /// # Errors
    /// One line: the address or the certificates are none.
    pub fn new(url: &str, ca_pem: Option<&str>) -> Result<Self, String> {
        let parsed = Url::parse(url).map_err(|error| format!("url {url:?}: {error}"))?;
        if !matches!(parsed.scheme(), "http" | "https") || parsed.host().is_none() {
            return Err(format!("url {url:?} is not an http or https address"));
        }
        let webhook = Self { url: url.to_owned(), ca_pem: ca_pem.map(str::to_owned) };
        // Said now, and not when it is first asked.
        webhook.authorities()?;
        Ok(webhook)
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    fn authorities(&self) -> Result<Option<Vec<Certificate>>, String> {
        let Some(pem) = &self.ca_pem else { return Ok(None) };
        let found =
            Certificate::from_pem_bundle(pem.as_bytes()).map_err(|error| format!("caBundle: {error}"))?;
        if found.is_empty() { Err("caBundle holds no certificate".into()) } else { Ok(Some(found)) }
    }
}

/// Calls webhooks; each keeps its connection.
#[derive(Debug, Default)]
pub(super) struct Caller {
    clients: BTreeMap<Webhook, Client>,
}

impl Caller {
    /// How many servers the webhook wants; `None`: as many as there are.
    pub(super) async fn ask(
        &mut self,
        webhook: &Webhook,
        question: FleetAutoscaleRequest,
    ) -> Result<Option<u32>, String> {
        let client = self.client(webhook)?.clone();
        let review = FleetAutoscaleReview { request: Some(question), response: None };
        let unanswered = |error: reqwest::Error| format!("webhook {}: {}", webhook.url, causes(&error));
        let mut answer = client.post(&webhook.url).json(&review).send().await.map_err(unanswered)?;
        if answer.status() != StatusCode::OK {
            return Err(format!(
                "webhook {}: status {}, and only 200 counts",
                webhook.url,
                answer.status().as_u16()
            ));
        }
        let mut body = Vec::new();
        while let Some(bytes) = answer.chunk().await.map_err(unanswered)? {
            body.extend_from_slice(&bytes);
            if body.len() > ANSWER_BYTES_MAX {
                return Err(format!(
                    "webhook {}: answer is longer than {ANSWER_BYTES_MAX} bytes",
                    webhook.url
                ));
            }
        }
        read(&body).map_err(|what| format!("webhook {}: {what}", webhook.url))
    }

    fn client(&mut self, webhook: &Webhook) -> Result<&Client, String> {
        if !self.clients.contains_key(webhook) {
            // As Agones' own client: no proxy.
            let mut builder =
                Client::builder().timeout(DEADLINE).no_proxy().redirect(reqwest::redirect::Policy::none());
            if let Some(authorities) = webhook.authorities()? {
                builder = builder.tls_certs_only(authorities);
            }
            let client = builder.build().map_err(|error| causes(&error))?;
            self.clients.insert(webhook.clone(), client);
        }
        self.clients.get(webhook).ok_or_else(|| "no client".to_owned())
    }
}

fn read(body: &[u8]) -> Result<Option<u32>, String> {
    let review: FleetAutoscaleReview =
        serde_json::from_slice(body).map_err(|error| format!("answer: {error}"))?;
    let response = review.response.ok_or("answer has no response")?;
    if !response.scale {
        return Ok(None);
    }
    u32::try_from(response.replicas)
        .map(Some)
        .map_err(|_| format!("answer wants {} servers", response.replicas))
}

/// An error with what lies under it, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line = format!("{line}: {cause}");
        source = cause.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_agones_reads_them() {
        let check = |body: &str, expected: Result<Option<u32>, &str>| match (read(body.as_bytes()), expected)
        {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{body}"),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            (found, expected) => panic!("{body}: {found:?}, not {expected:?}"),
        };
        check(r#"{"response":{"uid":"1","scale":true,"replicas":12}}"#, Ok(Some(12)));
        check(r#"{"request":null,"response":{"uid":"other","scale":false,"replicas":0}}"#, Ok(None));
        check(r#"{"request":null,"response":null}"#, Err("no response"));
        check(r#"{"response":{"scale":true,"replicas":-1}}"#, Err("-1 servers"));
        check("<html>", Err("answer: expected value"));
    }

    #[test]
    fn what_is_no_webhook_is_said() {
        for url in ["", "nonsense", "ftp://host/", "unix:/tmp/x"] {
            assert!(Webhook::new(url, None).is_err(), "{url}");
        }
        assert!(Webhook::new("https://h/", Some("no certificate")).is_err());
        assert_eq!(Webhook::new("https://h:1/scale", None).unwrap().url(), "https://h:1/scale");
    }
}
