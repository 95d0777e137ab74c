"""Which noise makes a captcha reader fail: the stages of the study (verbs) and what they use (nouns)."""
