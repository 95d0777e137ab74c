# What the report's first page rests on beside the regression: covariance of cell means by captcha and glyph, places of
# thresholds, and critical values of simultaneous intervals; for tests/test_golden_answer.py.
# Rscript answer.R, in this folder; made with R 4.2.2, sandwich 3.0-2, pracma 2.4.2, mvtnorm 1.1-3 (Debian 12).
suppressMessages({library(sandwich); library(pracma); library(mvtnorm)})

out <- list()
keep <- function(quantity, name, value)
  out[[length(out) + 1]] <<- data.frame(quantity, name, value = format(value, digits = 15, trim = TRUE))

# cell means of regression_rows.csv: each dimension with G / (G - 1), and no other factor
d <- read.csv("regression_rows.csv", stringsAsFactors = FALSE)
cell <- factor(paste(d$noise, d$level))
fit <- lm(d$success ~ cell - 1)
V <- vcovCL(fit, cluster = data.frame(d$captcha, d$glyph), type = "HC0", cadjust = TRUE)
keep("mean", levels(cell), coef(fit))
keep("variance", levels(cell), diag(V))
names <- outer(levels(cell), levels(cell), paste, sep = " | ")
keep("covariance", names[upper.tri(names)], V[upper.tri(V)])

# thresholds: isotonic regression, then Fritsch & Butland's monotone cubic, where it passes a half and three quarters
levels <- c(0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
shares <- rbind(c(0.96, 0.94, 0.88, 0.55, 0.24, 0.01, 0, 0, 0),
                c(0.97, 0.80, 0.82, 0.71, 0.52, 0.53, 0.30, 0.18, 0.03),
                c(0.76, 0.77, 0.74, 0.75, 0.51, 0.50, 0.50, 0.20, 0.25))
for (i in seq_len(nrow(shares))) {
  falling <- -isoreg(levels, -shares[i, ])$yf
  for (share in c(0.5, 0.75)) {
    after <- which(falling <= share)[1]
    place <- uniroot(function(x) pchip(levels, falling, x) - share, levels[c(after - 1, after)], tol = 1e-14)$root
    keep("threshold", paste(i, share), place)
  }
}

# simultaneous 95 % intervals of all pairs of five means: independent and alike, and correlated with unlike variances
pairs <- t(combn(5, 2))
C <- matrix(0, nrow(pairs), 5)
for (k in seq_len(nrow(pairs))) C[k, pairs[k, ]] <- c(1, -1)
set.seed(1)
for (kind in c("alike", "unlike")) {
  S <- if (kind == "alike") diag(5) else outer(1:5, 1:5) * (0.6 + 0.4 * diag(5))
  R <- cov2cor(C %*% S %*% t(C))
  for (df in c(4, 199))
    keep("critical", paste(kind, df), qmvt(0.95, tail = "both.tails", df = df, corr = R)$quantile)
}
write.csv(do.call(rbind, out), "answer_r.csv", row.names = FALSE, quote = FALSE)
