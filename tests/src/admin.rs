//! What can be asked at a gateway's admin address, whether the gateway is in this process or another one.

use std::net::SocketAddr;

use serde_json::Value;

use crate::client::{Connection, Request, Response};
use crate::metrics::Metrics;
use crate::patience::wait_for;

/// An admin address.
#[derive(Clone, Copy, Debug)]
pub struct Admin(pub SocketAddr);

impl Admin {
    /// Sends a request on a connection of its own.
    #[track_caller]
    pub fn ask(self, request: &Request) -> Response {
        let request = request
            .clone()
            .host(&self.0.to_string())
            .header("Connection", "close");
        Connection::open(self.0).ask(&request)
    }

    /// `GET /status`
    #[track_caller]
    pub fn status(self) -> Value {
        let response = self.ask(&Request::get("/status"));
        response.expect(200);
        serde_json::from_str(&response.text()).unwrap_or_else(|error| panic!("{error} in:\n{response}"))
    }

    /// What `/status` says of an upstream's servers.
    #[track_caller]
    pub fn servers(self, upstream: &str) -> Vec<Value> {
        let status = self.status();
        let servers = status["upstreams"][upstream]["servers"].as_array();
        servers
            .unwrap_or_else(|| panic!("no upstream {upstream} in {status:#}"))
            .clone()
    }

    /// What `/status` says of a server.
    #[track_caller]
    pub fn server(self, upstream: &str, address: SocketAddr) -> Value {
        let mut servers = self.servers(upstream).into_iter();
        servers
            .find(|s| s["address"] == address.to_string())
            .unwrap_or_else(|| panic!("no server {address} in {upstream}"))
    }

    /// Waits until `/status` says that a server is in this state.
    #[track_caller]
    pub fn wait_state(self, upstream: &str, address: SocketAddr, state: &str) {
        wait_for(&format!("{address} is {state}"), || {
            (self.server(upstream, address)["state"] == state).then_some(())
        });
    }

    /// Changes a server.
    #[track_caller]
    pub fn set_server(self, upstream: &str, address: SocketAddr, json: &str) {
        let target = format!("/upstreams/{upstream}/servers/{address}");
        let request = Request::post(&target, json).header("Content-Type", "application/json");
        self.ask(&request).expect(200);
    }

    /// `POST /reload`
    #[track_caller]
    pub fn reload(self) -> Response {
        self.ask(&Request::new("POST", "/reload").header("Content-Length", "0"))
    }

    /// `GET /metrics`
    #[track_caller]
    pub fn metrics(self) -> Metrics {
        let response = self.ask(&Request::get("/metrics"));
        response.expect(200);
        Metrics::parse(&response.text())
    }

    /// Waits until the metrics say so.
    #[track_caller]
    pub fn wait_metrics(self, fact: &str, holds: impl Fn(&Metrics) -> bool) -> Metrics {
        wait_for(fact, || Some(self.metrics()).filter(&holds))
    }
}
