# Two-way CV3, RESET and average marginal effects on regression_rows.csv, for tests/test_golden_regression.py.
# Rscript regression.R, in this folder; made with R 4.2.2, sandwich 3.0-2, clubSandwich 0.5.8 (Debian 12).
suppressMessages({library(sandwich); library(clubSandwich)})

d <- read.csv("regression_rows.csv", stringsAsFactors = FALSE)
d$noise <- relevel(factor(d$noise), "none")
d$colour <- factor(d$colour)
d$digit <- factor(d$digit)
noisy <- d$noise != "none"
centre <- mean(d$level[noisy])

design <- function(d) {
  X <- cbind(1, d$noise == "fog", d$noise == "gaussian", (d$noise == "fog") * (d$level - centre),
             (d$noise == "gaussian") * (d$level - centre), d$colour == "grey", d$colour == "red",
             d$digit == "1", d$digit == "2")
  colnames(X) <- c("constant", "noise[fog]", "noise[gaussian]", "noise:level[fog]", "noise:level[gaussian]",
                   "colour[grey]", "colour[red]", "digit[1]", "digit[2]")
  X
}

X <- design(d)
out <- list()
keep <- function(quantity, name, value)
  out[[length(out) + 1]] <<- data.frame(quantity, name, value = format(value, digits = 15, trim = TRUE))

# linear probability model; clubSandwich's CR3 lacks the factor (G - 1) / G of the jackknife
cv3 <- function(fit, cluster) {
  G <- length(unique(cluster))
  (G - 1) / G * as.matrix(vcovCR(fit, cluster = cluster, type = "CR3"))
}
fit <- lm(d$success ~ X - 1)
both <- paste(d$captcha, d$glyph)
V <- cv3(fit, d$captcha) + cv3(fit, d$glyph) - cv3(fit, both)
cv1 <- vcovCL(fit, cluster = data.frame(d$captcha, d$glyph), type = "HC1")
keep("beta", colnames(X), coef(fit))
keep("cv3_captcha", colnames(X), sqrt(diag(cv3(fit, d$captcha))))
keep("cv3_glyph", colnames(X), sqrt(diag(cv3(fit, d$glyph))))
keep("cv3_two_way", colnames(X), sqrt(pmax(diag(V), 0)))
keep("cv1_two_way", colnames(X), sqrt(diag(cv1)))

# RESET with squares and cubes of the fitted values, by captcha
z <- fitted(fit)
fuller <- lm(d$success ~ X + I(z^2) + I(z^3) - 1)
W <- cv3(fuller, d$captcha)
last <- length(coef(fuller)) - 1:0
keep("reset", "F", drop(coef(fuller)[last] %*% solve(W[last, last], coef(fuller)[last])) / 2)

# logit with the information at the final estimate, and CV1 by captcha and of both dimensions
logit <- glm(d$success ~ X - 1, family = binomial, control = list(epsilon = 1e-14, maxit = 100))
b <- coef(logit)
p <- plogis(drop(X %*% b))
bread <- solve(crossprod(X, X * (p * (1 - p))))
N <- nrow(X); K <- ncol(X)
cv1_logit <- function(cluster) {
  s <- rowsum(X * (d$success - p), cluster)
  G <- nrow(s)
  G / (G - 1) * (N - 1) / (N - K) * bread %*% crossprod(s) %*% bread
}
L <- cv1_logit(d$captcha) + cv1_logit(d$glyph) - cv1_logit(both)
keep("logit_beta", colnames(X), b)
keep("logit_cv1_captcha", colnames(X), sqrt(diag(cv1_logit(d$captcha))))
keep("logit_cv1_two_way", colnames(X), sqrt(diag(L)))

# average marginal effects; of noise over the rows of the type at their own levels, of the level over noisy rows
with_value <- function(variable, value) { changed <- d; changed[[variable]][] <- value; changed }
clean <- d; clean$noise[] <- "none"; clean$level <- 0
effects <- function(b, link) {
  mean_of <- function(rows, keep = TRUE) mean(link(drop(design(rows) %*% b))[keep])
  at <- function(shift) { moved <- d; moved$level <- d$level + shift; mean_of(moved, noisy) }
  h <- 1e-3
  c("noise[fog]" = mean_of(d, d$noise == "fog") - mean_of(clean, d$noise == "fog"),
    "noise[gaussian]" = mean_of(d, d$noise == "gaussian") - mean_of(clean, d$noise == "gaussian"),
    "level" = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h),
    "colour[grey]" = mean_of(with_value("colour", "grey")) - mean_of(with_value("colour", "black")),
    "colour[red]" = mean_of(with_value("colour", "red")) - mean_of(with_value("colour", "black")),
    "digit[1]" = mean_of(with_value("digit", "1")) - mean_of(with_value("digit", "0")),
    "digit[2]" = mean_of(with_value("digit", "2")) - mean_of(with_value("digit", "0")))
}
jacobian <- function(b, link) sapply(seq_along(b), function(k) {
  h <- 1e-3; step <- replace(numeric(length(b)), k, h)
  (8 * (effects(b + step, link) - effects(b - step, link))
   - (effects(b + 2 * step, link) - effects(b - 2 * step, link))) / (12 * h)
})
J <- jacobian(b, plogis)
keep("logit_effect", names(effects(b, plogis)), effects(b, plogis))
keep("logit_effect_captcha", rownames(J), sqrt(diag(J %*% cv1_logit(d$captcha) %*% t(J))))
keep("logit_effect_two_way", rownames(J), sqrt(diag(J %*% L %*% t(J))))
J <- jacobian(coef(fit), identity)
keep("linear_effect", rownames(J), effects(coef(fit), identity))
keep("linear_effect_two_way", rownames(J), sqrt(diag(J %*% V %*% t(J))))

write.csv(do.call(rbind, out), "regression_r.csv", row.names = FALSE, quote = FALSE)
