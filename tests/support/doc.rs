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

    /// Runs an example with an account in which a policy of an app names the token `deploy`,
    /// and a client that has it as its default account.
    pub fn neighbours_example(
        run: impl AsyncFnOnce(Client, Account) -> Result<(), Box<dyn std::error::Error>>,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let inactivity =
                cf_service_tokens_simulator::ServiceTokenInactivity::disable_after_days(30);
            let machines = SeedGroup::new("Machines").include(Rule::any_valid_service_token());
            let access = Access::new()
                .strict_service_token_auth(true)
                .service_token_inactivity(inactivity)
                .policy(SeedPolicy::new("CI").include(Rule::service_token("deploy")))
                .group(machines)
                .app(SeedApp::new("Admin Site", "admin.example.com").reusable_policy("CI"));
            let simulator = Simulator::builder()
                .account_name("Demo Account")
                .token(SeedToken::new("deploy"))
                .access(access);
            let simulator = simulator.start().await.unwrap();
            let builder = client_builder(&simulator).account_id(simulator.account_id());
            let client = builder.build().unwrap();
            let account = client.default_account().unwrap();
            run(client, account).await.unwrap();
        });
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
