//! The command line that scripts rely on: what it prints, and the exit code it ends with.

use relay_tests::agent::command;
use relay_tests::folder::Folder;
use relay_tests::place::Place;
use relay_tests::process::{Ended, Process, Program, Terminal, run};
use relay_tests::provider::Provider;
use relay_tests::raw::Written;
use relay_tests::relay::{Endpoint, Relay};
use relay_tests::target::Target;
use relay_tests::wait::until;
use serde_json::Value;

/// A relay whose administrator sits at the command line.
struct Desk {
    relay: Relay,
    folder: Folder,
}

impl Desk {
    async fn new() -> Self {
        Self { relay: Relay::start().await, folder: Folder::fresh() }
    }

    /// Runs `relay-client` as the administrator.
    async fn client(&self, arguments: &[&str]) -> Ended {
        self.client_as(&self.relay.admin, arguments).await
    }

    async fn client_as(&self, token: &str, arguments: &[&str]) -> Ended {
        run(command(&self.folder, &self.relay.url(), token).args(arguments)).await
    }

    fn endpoint_at(&self, url: &str) -> Endpoint {
        let path = url.strip_prefix(&self.relay.url()).unwrap().to_owned();
        let key = path.rsplit('/').next().unwrap().to_owned();
        Endpoint { name: String::new(), path, key }
    }
}

/// What is alone on the only line of standard output.
fn alone(ended: &Ended) -> &str {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let line = ended.stdout.strip_suffix('\n').unwrap();
    assert!(!line.contains(char::is_whitespace), "{:?}", ended.stdout);
    line
}

fn failed(ended: &Ended, code: i32) {
    assert_eq!(ended.code, Some(code), "{} {}", ended.stdout, ended.stderr);
    assert!(ended.stdout.is_empty(), "{}", ended.stdout);
    assert!(!ended.stderr.trim().is_empty());
}

#[tokio::test]
async fn init_prints_the_admin_token_alone_and_never_a_second_store() {
    let folder = Folder::fresh();
    let store = folder.path().join("store");
    let made = run(Program::Server.command().arg("init").arg("--data").arg(&store)).await;
    assert!(alone(&made).starts_with("wr_"));
    let again = run(Program::Server.command().arg("init").arg("--data").arg(&store)).await;
    failed(&again, 1);
}

#[tokio::test]
async fn serve_says_when_it_is_ready() {
    let relay = Relay::program(&[]).await;
    assert_ne!(relay.address.port(), 0);
    assert_eq!(Provider::of(relay.address, "/readyz").get("").await.status(), 200);
}

#[tokio::test]
async fn what_serve_tells_people_to_do_next_works() {
    let folder = Folder::fresh();
    let made = run(Program::Server.command().current_dir(folder.path()).arg("init")).await;
    let _ = folder.file("admin.token", alone(&made));
    let mut serve = Program::Server.command();
    serve.current_dir(folder.path()).args(["serve", "--listen", "127.0.0.1:0"]);
    let mut terminal = Terminal::start(&mut serve);
    terminal.line(|line| line.starts_with("The relay serves at http://127.0.0.1:")).await;
    let exported = terminal.line(|line| line.contains("export ")).await;
    let variables = exported.split_whitespace().filter_map(|word| word.split_once('='));
    let variables: Vec<_> = variables.collect();
    // A command as it is printed, without the file that its output goes to.
    let printed = |line: &str| {
        let words = line.split(" > ").next().unwrap().split_whitespace();
        let mut client = Program::Client.command();
        client.current_dir(folder.path()).args(words.skip(1)).envs(variables.iter().copied());
        client
    };
    let create = terminal.line(|line| line.contains("relay-client endpoints create ")).await;
    assert!(alone(&run(&mut printed(&create)).await).contains("/hooks/my-app-"));
    let token = terminal.line(|line| line.contains("relay-client tokens create ")).await;
    let (_, file) = token.split_once(" > ").expect("a file for the token");
    let _ = folder.file(file, alone(&run(&mut printed(&token)).await));
    let forward = terminal.line(|line| line.contains(" forward ")).await;
    let mut agent = Process::start(&mut printed(&forward));
    assert_eq!(agent.event("ready").await["endpoint"], "my-app");
    terminal.kill().await;
}

#[tokio::test]
async fn endpoints_are_made_listed_and_deleted() {
    let desk = Desk::new().await;
    let url = alone(&desk.client(&["endpoints", "create", "github"]).await).to_owned();
    assert!(url.starts_with(&format!("{}/hooks/github-", desk.relay.url())), "{url}");
    let exact = desk.client(&["endpoints", "create", "exact", "--exact-key", "--json"]).await;
    let exact: Value = serde_json::from_str(&exact.stdout).unwrap();
    assert_eq!((&exact["name"], &exact["key"]), (&"exact".into(), &"exact".into()));
    assert!(exact["signing_secret"].as_str().unwrap().starts_with("whsec_"));
    let listed = desk.client(&["endpoints", "list", "--json"]).await;
    let rows: Vec<Value> =
        listed.stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let names: Vec<&Value> = rows.iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["exact", "github"]);
    assert!(!listed.stdout.contains("whsec_"), "a list shows no secrets");
    let table = desk.client(&["endpoints", "list"]).await;
    assert!(table.stdout.contains(&url), "{}", table.stdout);
    let deleted = desk.client(&["endpoints", "delete", "github"]).await;
    assert_eq!((deleted.code, deleted.stdout.as_str()), (Some(0), ""));
    let mut provider = desk.relay.provider(&desk.endpoint_at(&url));
    assert_eq!(provider.post("/", "x").await.status(), 404);
    failed(&desk.client(&["endpoints", "create", "exact"]).await, 1);
}

#[tokio::test]
async fn tokens_are_made_listed_and_revoked() {
    let desk = Desk::new().await;
    desk.relay.endpoint("story").await;
    let made = desk.client(&["tokens", "create", "--endpoint", "story", "--expires", "90d"]).await;
    let token = alone(&made).to_owned();
    let [_, id, secret] = token.split('_').collect::<Vec<_>>()[..] else { panic!("{token}") };
    let listed = desk.client(&["tokens", "list", "--json"]).await;
    assert!(listed.stdout.contains(id) && !listed.stdout.contains(secret), "{}", listed.stdout);
    assert_eq!(desk.client_as(&token, &["endpoints", "list"]).await.code, Some(0));
    assert_eq!(desk.client(&["tokens", "revoke", id]).await.code, Some(0));
    failed(&desk.client_as(&token, &["endpoints", "list"]).await, 4);
}

#[tokio::test]
async fn exit_codes_say_what_kind_of_failure_it_was() {
    let desk = Desk::new().await;
    failed(&desk.client(&["endpoints", "create", "Not A Name"]).await, 1);
    failed(&desk.client(&["endpoints", "create", "x", "--set", "nonsense"]).await, 2);
    failed(&desk.client(&["nonsense"]).await, 2);
    failed(&run(Program::Client.command().args(["endpoints", "list"])).await, 2);
    let place = Place::fresh();
    let nowhere = format!("http://{place}");
    failed(&run(command(&desk.folder, &nowhere, "wr_a_b").args(["endpoints", "list"])).await, 3);
    failed(&desk.client_as("wr_a_b", &["endpoints", "list"]).await, 4);
    let listener = desk.relay.token(&[]).await;
    failed(&desk.client_as(&listener, &["endpoints", "create", "x"]).await, 4);
    failed(&desk.client(&["endpoints", "delete", "nothing"]).await, 5);
    failed(&desk.client(&["tokens", "revoke", "nothing"]).await, 5);
    failed(&desk.client_as(&listener, &["forward", "--endpoint", "nothing"]).await, 5);
    failed(&desk.client(&["forward", "ftp://x", "--endpoint", "x"]).await, 2);
    for program in [Program::Client, Program::Server] {
        assert_eq!(run(program.command().arg("--version")).await.code, Some(0));
        assert_eq!(run(program.command().arg("--help")).await.code, Some(0));
    }
}

#[tokio::test]
async fn a_name_is_never_read_as_another_path() {
    let desk = Desk::new().await;
    desk.relay.endpoint("story").await;
    let token = desk.relay.token(&["story"]).await;
    let id = token.split('_').nth(1).unwrap();
    for name in ["story?x", "story#x", "x/../story", "../endpoints/story", "%73tory", "story/"] {
        failed(&desk.client(&["endpoints", "delete", name]).await, 5);
    }
    let other = format!("../endpoints/story?{id}");
    for name in [&format!("{id}?x"), &format!("{id}#x"), &other] {
        failed(&desk.client(&["tokens", "revoke", name]).await, 5);
    }
    assert_eq!(desk.relay.agents("story").await, 0, "it is still there");
    assert_eq!(desk.client_as(&token, &["endpoints", "list"]).await.code, Some(0));
}

#[tokio::test]
async fn forward_tells_programs_in_json_lines() {
    let desk = Desk::new().await;
    let target = Target::answering(201, "made").await;
    let mut forward = command(&desk.folder, &desk.relay.url(), &desk.relay.admin);
    forward.arg("forward").arg(target.url()).args(["--endpoint", "new"]);
    let mut agent = Process::start(&mut forward);
    let ready = agent.event("ready").await;
    assert_eq!((&ready["endpoint"], &ready["target"]), (&"new".into(), &target.url().into()));
    let mut provider = desk.relay.provider(&desk.endpoint_at(ready["url"].as_str().unwrap()));
    assert_eq!(provider.post("/sub?q", "x").await.status(), 201);
    let told = agent.event("delivery").await;
    assert!(told["id"].as_str().unwrap().starts_with("evt_"), "{told}");
    assert_eq!(told["path"], "/sub?q");
    assert_eq!((&told["method"], &told["status"]), (&"POST".into(), &201.into()));
    assert_eq!(told["attempt"], 1);
    assert!(told["ms"].is_number());
}

#[tokio::test]
async fn forward_tells_programs_when_the_line_is_gone_and_back() {
    let mut desk = Desk::new().await;
    desk.relay.endpoint("story").await;
    let mut forward = command(&desk.folder, &desk.relay.url(), &desk.relay.admin);
    let mut agent = Process::start(forward.arg("forward").arg("http://localhost:1"));
    assert_eq!(agent.event("ready").await["endpoint"], "story", "the only one there is");
    desk.relay.stop().await;
    agent.event("disconnected").await;
    desk.relay.resume().await;
    agent.event("reconnected").await;
}

#[tokio::test]
async fn forward_shows_people_the_url_alone_and_two_arrows_for_each_event() {
    let desk = Desk::new().await;
    let target = Target::answering(200, "fine").await;
    let mut forward = command(&desk.folder, &desk.relay.url(), &desk.relay.admin);
    forward.arg("forward").arg(target.url()).args(["--endpoint", "story"]);
    let mut terminal = Terminal::start(&mut forward);
    let url = terminal.line(|line| line.starts_with("http")).await;
    let mut provider = desk.relay.provider(&desk.endpoint_at(&url));
    assert_eq!(provider.post("/sub", "x").await.status(), 200);
    let there = terminal.line(|line| line.contains("-->")).await;
    assert!(there.contains("POST /sub") && there.contains("evt_"), "{there}");
    let back = terminal.line(|line| line.contains("<--")).await;
    assert!(back.contains("200") && back.contains("ms"), "{back}");
    terminal.kill().await;
}

#[tokio::test]
async fn nothing_that_a_relay_says_moves_the_cursor() {
    let hostile = "evil\\u001b[2J\\u0007\\r\\nfake\\u009b31m";
    let list = format!("[{{\"name\":\"{hostile}\",\"url\":\"{hostile}\",\"agents\":0}}]");
    let problem = format!("{{\"code\":\"conflict\",\"detail\":\"{hostile}\"}}");
    let made = format!("{{\"name\":\"x\",\"url\":\"{hostile}\",\"token\":\"{hostile}\"}}");
    let relay = Target::scripted(move |asked| match (asked.method().as_str(), asked.path()) {
        ("GET", _) => Written::answer(200).body(&list).bytes(),
        ("POST", _) => Written::answer(201).body(&made).bytes(),
        _ => Written::answer(409).body(&problem).bytes(),
    })
    .await;
    let folder = Folder::fresh();
    for arguments in [
        &["endpoints", "list"][..],
        &["endpoints", "create", "x"],
        &["endpoints", "delete", "x"],
        &["tokens", "create"],
        &["tokens", "list"],
    ] {
        let ended = run(command(&folder, &relay.url(), "wr_a_b").args(arguments)).await;
        let moves = |c: char| c.is_control() && c != '\n';
        let shown = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!shown.contains(moves), "{arguments:?}: {shown:?}");
        assert!(!shown.lines().any(|line| line.starts_with("fake")), "{arguments:?}: {shown:?}");
    }
}

#[tokio::test]
async fn run_serves_what_its_file_says() {
    let desk = Desk::new().await;
    let (left, right) =
        (Target::answering(200, "left").await, Target::answering(200, "right").await);
    let endpoints = [desk.relay.endpoint("left").await, desk.relay.endpoint("right").await];
    let _ = desk.folder.file("agent.token", &desk.relay.token(&["left", "right"]).await);
    let config = format!(
        "relay = '{}'\ntoken_file = 'agent.token'\n\
         [[endpoint]]\nname = 'left'\ntarget = '{}/base'\n\
         [[endpoint]]\nname = 'right'\ntarget = '{}'\n",
        desk.relay.url(),
        left.url(),
        right.url(),
    );
    let file = desk.folder.file("agent.toml", &config);
    let mut agent = Process::start(Program::Client.command().arg("run").arg("--config").arg(file));
    agent.event("ready").await;
    agent.event("ready").await;
    assert_eq!(desk.relay.provider(&endpoints[0]).post("/x", "").await.text(), "left");
    assert_eq!(left.only().path(), b"/base/x");
    assert_eq!(desk.relay.provider(&endpoints[1]).post("/x", "").await.text(), "right");
}

#[tokio::test]
async fn a_target_behind_a_unix_socket_is_reached() {
    let desk = Desk::new().await;
    let endpoint = desk.relay.endpoint("story").await;
    let path = desk.folder.path().join("target.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let serve = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 4096];
        let length = socket.read(&mut asked).await.unwrap();
        socket.write_all(&Written::answer(200).body("unix").bytes()).await.unwrap();
        String::from_utf8_lossy(&asked[..length]).into_owned()
    });
    let token = desk.relay.token(&["story"]).await;
    let target = format!("unix:{}:/base", path.display());
    let wanted = relay_tests::agent::Wanted::for_one(&desk.relay.url(), &token, "story", &target);
    let _agent = relay_tests::agent::Agent::start(&wanted).await;
    assert_eq!(desk.relay.provider(&endpoint).get("/x").await.text(), "unix");
    assert!(serve.await.unwrap().starts_with("GET /base/x HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_token_comes_from_the_environment_or_a_file_and_a_fresh_file_is_read_anew() {
    let desk = Desk::new().await;
    desk.relay.endpoint("story").await;
    let mut list = Program::Client.command();
    list.args(["endpoints", "list"]).env("RELAY_URL", desk.relay.url());
    assert_eq!(run(list.env("RELAY_TOKEN", &desk.relay.admin)).await.code, Some(0));
    let (old, fresh) = (desk.relay.token(&["story"]).await, desk.relay.token(&["story"]).await);
    let file = desk.folder.file("agent.token", &old);
    let mut agent = Program::Client.command();
    agent.arg("--relay").arg(desk.relay.url()).arg("--token-file").arg(&file);
    let mut agent = Process::start(agent.args(["forward", "1"]));
    agent.event("ready").await;
    let _ = desk.folder.file("agent.token", &fresh);
    // Whatever ends its lines, the next ones come with the fresh token.
    let mut desk = desk;
    desk.relay.stop().await;
    desk.relay.resume().await;
    agent.event("reconnected").await;
    let id = old.split('_').nth(1).unwrap().to_owned();
    desk.relay.api().delete(&format!("/tokens/{id}")).await.unwrap();
    until("it is served", async || desk.relay.agents("story").await == 1).await;
}
