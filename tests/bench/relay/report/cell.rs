//! How figures are written for people.

pub fn cell(figure: Option<f64>) -> String {
    figure.map_or_else(|| "–".to_owned(), |figure| format!("{figure:.2}"))
}

pub fn ratio(figure: Option<f64>) -> String {
    figure.map_or_else(|| "–".to_owned(), |figure| format!("× {figure:.2}"))
}

pub fn percent(figure: Option<f64>) -> String {
    figure.map_or_else(|| "–".to_owned(), |figure| format!("{figure:.0} %"))
}

pub fn count(figure: Option<f64>) -> String {
    figure.map_or_else(|| "–".to_owned(), |figure| format!("{figure:.0}"))
}

pub fn thousands(figure: Option<f64>) -> String {
    match figure {
        Some(figure) if figure >= 1e6 => format!("{:.2} M", figure / 1e6),
        Some(figure) if figure >= 1e4 => format!("{:.1} k", figure / 1e3),
        other => count(other),
    }
}
