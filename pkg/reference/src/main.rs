//! Writes the API reference into a folder: `muster-reference docs/reference`.

use std::{
    collections::HashSet,
    env,
    error::Error,
    fs, io,
    path::{Path, PathBuf},
};

use pkg_reference::{MADE, Page, pages};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args_os().nth(1).ok_or("which folder? As in: muster-reference docs/reference")?;
    write(&PathBuf::from(folder), &pages(pkg_api::descriptors()))?;
    Ok(())
}

/// Writes the pages, and removes those that were made before and are no more.
fn write(folder: &Path, pages: &[Page]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for page in pages {
        fs::write(folder.join(&page.name), &page.text)?;
    }

    let names: HashSet<_> = pages.iter().map(|page| folder.join(&page.name)).collect();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_page = path.extension().is_some_and(|extension| extension == "md");
        if is_page && !names.contains(&path) && fs::read_to_string(&path)?.starts_with(MADE) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}
