def html_page(drawings): return ""
