//! Takes the interactive page's program and style out of the crate that brings Swagger UI along, and compresses them: so
//! they are a part of the operator, and nothing of them is in this repository or fetched from elsewhere.

use anyhow::Context;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{Cursor, Read, Write};
use std::path::PathBuf;
use utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
use zip::ZipArchive;

const FILES: [&str; 2] = ["swagger-ui-bundle.js", "swagger-ui.css"];

fn main() -> anyhow::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);
    let mut archive = ZipArchive::new(Cursor::new(SWAGGER_UI_VENDORED))?;
    for file in FILES {
        let ending = format!("/dist/{file}");
        let path = archive
            .file_names()
            .filter_map(Result::ok)
            .find(|path| path.ends_with(&ending))
            .map(|path| path.into_owned())
            .with_context(|| format!("Swagger UI has no {file}"))?;
        let mut text = String::new();
        archive.by_name(&path)?.read_to_string(&mut text)?;
        // What it would look for besides is nowhere.
        let text: String = text
            .lines()
            .filter(|line| !line.contains("sourceMappingURL="))
            .flat_map(|line| [line, "\n"])
            .collect();
        let mut compressed = GzEncoder::new(Vec::new(), Compression::best());
        compressed.write_all(text.as_bytes())?;
        std::fs::write(out.join(format!("{file}.gz")), compressed.finish()?)?;
    }
    Ok(())
}
