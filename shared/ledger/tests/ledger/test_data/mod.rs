mod seeded;
mod history;
