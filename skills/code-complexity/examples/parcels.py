"""Sorting parcels: one function that does too much, and a few that do not."""


class Parcel:
    def __init__(self, weight, country, express=False):
        self.weight = weight
        self.country = country
        self.express = express

    @property
    def is_light(self):
        return self.weight < 2


def price(parcel, rates, weekend):
    total = 0
    if parcel.country in rates:
        for limit, rate in rates[parcel.country]:
            if parcel.weight <= limit:
                if parcel.express and not weekend:
                    for surcharge in rate.get("surcharges", []):
                        if surcharge["express"] or surcharge["always"]:
                            total += surcharge["amount"]
                total += rate["base"]
                break
        else:
            raise ValueError("too heavy")
    elif parcel.is_light:
        total = 5
    elif parcel.express:
        total = 50
    else:
        total = 20 if weekend else 15
    return total


def total_price(parcels, rates):
    return sum(price(parcel, rates, weekend=False) for parcel in parcels if parcel.weight)


def retry(times):
    def decorate(function):
        def run(*arguments):
            for attempt in range(times):
                try:
                    return function(*arguments)
                except OSError:
                    if attempt + 1 == times:
                        raise

        return run

    return decorate
