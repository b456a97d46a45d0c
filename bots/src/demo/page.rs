//! The command's first page: which servers run, and a link to each one's live view.
//!
//! Serves one HTML page and the list it shows. Knows the fleet's list of game servers, not the servers.

use std::net::SocketAddr;

use anyhow::Context;
use axum::{Json, Router, extract::State, response::Html, routing::get};
use serde::Serialize;
use tokio::{net::TcpListener, task::JoinHandle};

use super::stack::SharedStack;

const PAGE: &str = include_str!("page.html");

/// The page while it is served.
#[derive(Debug)]
pub(super) struct Page {
    address: SocketAddr,
    task: JoinHandle<()>,
}

/// Takes the page's port; says so in one line when it is taken.
pub(super) async fn bind(port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", port)).await.with_context(|| format!("cannot listen on 127.0.0.1:{port}"))
}

/// Serves the page until [`Page::stop`].
pub(super) fn serve(listener: TcpListener, stack: SharedStack) -> anyhow::Result<Page> {
    let address = listener.local_addr()?;
    let router = Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route("/servers.json", get(servers))
        .with_state(stack);
    let task = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the first page is gone");
        }
    });
    Ok(Page { address, task })
}

impl Page {
    /// Where a browser finds it.
    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Stops serving.
    pub(super) fn stop(&self) {
        self.task.abort();
    }
}

#[derive(Debug, Serialize)]
struct Server {
    name: String,
    state: String,
    live_view: Option<String>,
    port: Option<u16>,
    pid: Option<u32>,
}

async fn servers(State(stack): State<SharedStack>) -> Json<Vec<Server>> {
    let rows = stack.game_servers().await.unwrap_or_default().into_iter().map(|row| Server {
        name: row.name,
        state: row.state,
        live_view: row.admin.map(|admin| format!("http://{admin}/")),
        port: row.port,
        pid: row.pid,
    });
    Json(rows.collect())
}
