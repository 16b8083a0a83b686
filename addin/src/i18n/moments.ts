/** Days and times as the portal, the mails and the report write them: those of the Netherlands, wherever the device says that it is. */
const TIME_ZONE = 'Europe/Amsterdam'

export interface Times {
  readonly moments: Intl.DateTimeFormat
  readonly days: Intl.DateTimeFormat
}

export function timesIn(language: string): Times {
  const locale = language === 'nl' ? 'nl-NL' : 'en-GB'
  return {
    moments: new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short', timeZone: TIME_ZONE }),
    days: new Intl.DateTimeFormat(locale, { dateStyle: 'long', timeZone: TIME_ZONE }),
  }
}
