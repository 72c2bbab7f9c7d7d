//! The example game: its page and its rules, in the executable.

use anyhow::{Context, anyhow, bail};
use pkg_api::game::v1::catalog_service_client::CatalogServiceClient;
use pkg_api::game::v1::{CreateGameRequest, FindGameRequest};
use pkg_definition::GameFile;
use pkg_middleware::{CallRefused, InProcess, PageFile, Pages, ServiceChannel};

const DUEL: &str = include_str!("../../../examples/duel/game.toml");
/// Where the page is served.
pub const DUEL_PATH: &str = "/duel/";

/// What `examples/duel` is built to.
const DUEL_PAGE: [PageFile; 3] = [
    PageFile {
        path: DUEL_PATH,
        content_type: "text/html; charset=utf-8",
        content: include_bytes!("../../../examples/duel/web/index.html"),
    },
    PageFile {
        path: "/duel/duel.css",
        content_type: "text/css; charset=utf-8",
        content: include_bytes!("../../../examples/duel/web/duel.css"),
    },
    PageFile {
        path: "/duel/duel.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_bytes!("../../../examples/duel/web/duel.js"),
    },
];

/// The page; whoever asks for nothing in particular is led there.
pub fn pages() -> Pages {
    Pages::new(&DUEL_PAGE).home(DUEL_PATH)
}

/// Creates the game in this server, unless there is one: that stays as it is, whatever was made of it.
pub async fn create_game(operator: ServiceChannel<InProcess>) -> anyhow::Result<()> {
    let file = GameFile::parse(DUEL).map_err(|problems| anyhow!("{problems:?}")).context("the example game")?;
    let mut catalog = CatalogServiceClient::new(operator);
    let find = FindGameRequest { key: file.game.key.clone() };
    let (game, definition) = (Some(file.game), Some(file.definition));
    let create = CreateGameRequest { game, definition, ..CreateGameRequest::default() };
    match catalog.find_game(find).await.map_err(CallRefused::from) {
        Ok(_) => return Ok(()),
        Err(refused) if refused.reason == "GAME_NOT_FOUND" => {}
        Err(refused) => bail!("the example game cannot be looked for: {refused}"),
    }
    let created = catalog.create_game(create).await.map_err(CallRefused::from);
    created.map(drop).map_err(|refused| anyhow!("the example game cannot be created: {refused}"))
}
