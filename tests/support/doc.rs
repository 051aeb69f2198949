/// The set-up of the examples in the documentation of `src/`.
///
/// The first line of an example is hidden: it includes this file, and opens `main` and
/// one of the functions below. `*` imports the items, so that an example's own `use`
/// takes precedence.
mod setup {
    pub use std::time::Duration;

    pub use cf_service_tokens::renewal::*;
    pub use cf_service_tokens::*;
    pub use cf_service_tokens_simulator::*;
    pub use chrono::{DateTime, TimeDelta, Utc};

    /// Runs an example with a simulator that holds the token `deploy`, a client, the
    /// service tokens of its account, and the id of `deploy`.
    pub fn example(
        run: impl AsyncFnOnce(
            Simulator,
            Client,
            ServiceTokens,
            String,
        ) -> Result<(), Box<dyn std::error::Error>>,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let builder = Simulator::builder().token(SeedToken::new("deploy"));
            let simulator = builder.start().await.unwrap();
            let (client, tokens) = connect(&simulator);
            let id = simulator.tokens()[0].id.clone();
            run(simulator, client, tokens, id).await.unwrap();
        });
    }

    /// Returns a client of the simulator that an example starts itself, and the service
    /// tokens of its account.
    pub fn connect(simulator: &Simulator) -> (Client, ServiceTokens) {
        let client = client_builder(simulator).build().unwrap();
        let tokens = client
            .account(simulator.account_id())
            .unwrap()
            .service_tokens();
        (client, tokens)
    }

    /// Returns the builder of a client of the simulator.
    pub fn client_builder(simulator: &Simulator) -> ClientBuilder {
        Client::builder()
            .base_url(simulator.base_url())
            .api_token(simulator.api_token())
    }

    /// Runs an example with an account whose policies, groups and apps name service tokens,
    /// and a client that knows it as its default account.
    pub fn neighbours_example(
        run: impl AsyncFnOnce(Client, Account) -> Result<(), Box<dyn std::error::Error>>,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let client = Client::builder()
                .base_url(neighbours())
                .api_token("cfut_token")
                .account_id("023e105f4ecef8ad9ca31a8372d0c353")
                .build()
                .unwrap();
            let account = client.default_account().unwrap();
            run(client, account).await.unwrap();
        });
    }

    /// Starts a server with the neighbours of the service tokens, and returns its base URL.
    fn neighbours() -> String {
        use std::io::{BufRead, BufReader, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for mut socket in listener.incoming().flatten() {
                let mut lines = BufReader::new(socket.try_clone().unwrap()).lines();
                let line = lines.next().unwrap().unwrap();
                while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                let path = line.split([' ', '?']).nth(1).unwrap();
                let result = match path.rsplit('/').next().unwrap() {
                    "accounts" => r#"[{"id":"023e105f4ecef8ad9ca31a8372d0c353","name":"Demo Account"}]"#,
                    "organizations" => r#"{"strict_service_token_auth":true,"service_token_inactivity":{"enabled":true,"inactivity_threshold_days":30,"action":"disable"}}"#,
                    "policies" => r#"[{"id":"p","name":"CI","include":[{"service_token":{"token_id":"f174e90a-fafe-4643-bbbc-4a0ed4fc8415"}}]}]"#,
                    "groups" => r#"[{"id":"g","name":"Machines","include":[{"any_valid_service_token":{}}]}]"#,
                    "apps" => r#"[{"id":"a","name":"Admin Site","policies":[{"id":"p","name":"CI"}]}]"#,
                    _ => r#"{"id":"ed17574386854bf78a67040be0a770b0","status":"active"}"#,
                };
                let info = r#""result_info":{"page":1,"total_count":1}"#;
                let body = format!(
                    r#"{{"success":true,"errors":[],"messages":[],"result":{result},{info}}}"#
                );
                let length = body.len();
                let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}");
                let _ = write!(socket, "{head}\r\n\r\n{body}");
            }
        });
        format!("http://{address}/client/v4")
    }

    /// Runs an example of a policy's decisions, with the default policy, a token that
    /// expires in nine days, and the present time.
    pub fn decision_example(run: impl FnOnce(RenewalPolicy, ServiceToken, DateTime<Utc>)) {
        let now = Utc::now();
        let mut token = ServiceToken::default();
        token.id = Some("f174e90a-fafe-4643-bbbc-4a0ed4fc8415".to_owned());
        token.expires_at = Some(now + TimeDelta::days(9));
        run(RenewalPolicy::new(), token, now);
    }

    /// Runs an example of the blocking client, with the simulator's runtime and what
    /// [`example`] provides.
    #[cfg(feature = "blocking")]
    pub fn blocking_example(
        run: impl FnOnce(
            tokio::runtime::Runtime,
            Simulator,
            blocking::Client,
            blocking::ServiceTokens,
            String,
        ) -> Result<(), Box<dyn std::error::Error>>,
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let start = Simulator::builder().token(SeedToken::new("deploy")).start();
        let simulator = runtime.block_on(start).unwrap();
        let builder = blocking::Client::builder().base_url(simulator.base_url());
        let client = builder.api_token(simulator.api_token()).build().unwrap();
        let tokens = client
            .account(simulator.account_id())
            .unwrap()
            .service_tokens();
        let id = simulator.tokens()[0].id.clone();
        run(runtime, simulator, client, tokens, id).unwrap();
    }
}
use setup::*;
